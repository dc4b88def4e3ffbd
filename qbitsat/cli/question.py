"""verify, export and compare with a question file: QUESTION.toml."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..campaign import RESULTS, Asked
from ..certificate.write import Source, Sources
from ..errors import ArgumentError, InputError
from ..network.names import printable
from ..optimize import EMPTY, Optimum, maximize
from ..options import ROWS, TABLE
from ..properties import Witness
from ..properties.formula import reaching
from ..properties.question_file import Objective, Question, load_question
from ..verify import HOLDS, UNKNOWN, VIOLATED, verify
from .arguments import Parser, add_compare, add_export, add_option
from .commands import expect_format, export_all
from .compare import chosen_backends, compare_all
from .exit_codes import exit_codes
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .proofs import Proofs, add_out, clear, verdict_record
from .usage import expect_folder

ENDING = ".toml"
COMMANDS = ("verify", "export", "compare")
# Elements of an input or output that a line shows.
SHOWN = 32


def is_asked(words: Sequence[str]) -> bool:
    """Whether arguments are those of a command of ours with a question file."""
    return len(words) > 1 and words[0] in COMMANDS and any(word.endswith(ENDING) and not word.startswith("-") for word in words[1:])


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of such a command; `run` is its function."""
    command = words[0]
    texts = {
        "verify": "Decide a question, or find its optimum.",
        "export": "Write a question as a file for any other solver.",
        "compare": "Give a question to SAT and to SMT solvers.",
    }
    made = Parser(
        prog=f"qbitsat {command} QUESTION.toml",
        description=f"{texts[command]} What may stand in a question file: docs/reference/questions.md.",
        epilog=exit_codes(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage=f"qbitsat {command} QUESTION.toml [--network NAME=FILE ...] [OPTION ...]",
    )
    made.add_argument("question", metavar="QUESTION.toml", type=Path, help="the question, a TOML file")
    text = "use this file for a network of the question; may be given for each"
    made.add_argument("--network", metavar="NAME=FILE", action="append", default=[], help=text)
    if command == "export":
        add_export(made)
        _add_at(made)
        made.set_defaults(run=export_question)
    elif command == "compare":
        add_compare(made)
        _add_at(made)
        made.set_defaults(run=compare_question)
    else:
        _add_verify(made)
        made.set_defaults(run=verify_question)
    return made.parse_args(words[1:])


def _add_at(parser: Parser) -> None:
    text = "of a question with objectives: ask whether each attains this value, and whether it goes beyond (below, of what is minimized)"
    parser.add_argument("--at", metavar="VALUE", type=_value, help=text)


def _value(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentError("at", f"{text!r}, expected a whole number") from None


def _add_verify(parser: Parser) -> None:
    for row in TABLE:
        add_option(parser, ROWS[row.name])
    add_out(parser)
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print no inputs and outputs")
    volume.add_argument("-v", "--verbose", action="count", default=0, help="print statistics; twice (-vv), and log the stages")


def read_question(args: argparse.Namespace) -> Question:
    """The question of the arguments, with the networks that they choose."""
    files: dict[str, str] = {}
    for word in args.network:
        name, equals, file = word.partition("=")
        if not equals or not name or not file or name in files:
            raise InputError(f"--network: {word!r}, expected NAME=FILE, each name once")
        files[name] = file
    return load_question(args.question, files)


def verify_question(args: argparse.Namespace) -> int:
    """A line a verdict or optimum; 0 if it holds or all optima are proved, 10 if violated, 5 if something is open."""
    expect_folder(args)
    question = read_question(args)
    with ExitStack() as stack:
        proofs = Proofs(args, sources(question), stack)
        clear(args, args.question.stem)
        asked = _Asked(question, args, proofs)
        code = asked.optimise() if question.objectives else asked.decide()
    if args.out:
        print(f"results in {args.out / RESULTS}")
    return code


@dataclass(frozen=True)
class _Asked:
    """A question on the command line, and where its lines and certificates go."""

    question: Question
    args: argparse.Namespace
    proofs: Proofs

    @property
    def options(self) -> dict[str, Any]:
        return {row.name: getattr(self.args, row.name) for row in TABLE}

    @property
    def name(self) -> str:
        return self.question.title or self.args.question.stem

    def decide(self) -> int:
        start = time.monotonic()
        verdict = verify(self.question.query, **self.options)
        names = [self.proofs.certify(self.name_of_file(), self.question.query, verdict)]
        note = verdict.reason
        if verdict.holds and self.question.assumption is not None:
            note = self._nothing(start)
        fields = {**self._record(), **verdict_record(verdict), "note": note, "certificates": names}
        self.proofs.put({**fields, **self._witness(verdict.witness)})
        parts = f"{printable(self.name)}  {verdict.verdict}", verdict.engine or "-", f"{verdict.seconds:.3f} s", printable(note)
        print("  ".join(parts).rstrip(), flush=True)
        self._show(verdict.witness, verdict.statistics)
        return {HOLDS: EXIT_HOLDS, VIOLATED: EXIT_VIOLATED}.get(verdict.verdict, EXIT_UNKNOWN)

    def _nothing(self, start: float) -> str:
        """What to say of a HOLDS where no input may be meant at all: it is asked in the time that is left."""
        assert self.question.assumption is not None
        options = {**self.options, "certificates": False}
        if options["timeout"] is not None:
            options["timeout"] = max(0.1, options["timeout"] - (time.monotonic() - start))
        found = verify(self.question.assumption, **options)
        return {
            HOLDS: "of nothing: no input meets the assumptions",
            UNKNOWN: "whether any input meets the assumptions is open",
        }.get(found.verdict, "")

    def optimise(self) -> int:
        """The optimum of each objective."""
        code = EXIT_HOLDS
        for k, objective in enumerate(self.question.objectives):
            found = maximize(self.question.query, objective.goal, **self.options)
            name, ends = f"{self.name_of_file()}_objective{k}", ("attained", "beyond") if found.optimal else ()
            names = self.proofs.each(name, ends, found.certificates)
            self.proofs.put({**self._record(), **_optimum_record(objective, found), "certificates": names, **self._witness(found.witness)})
            print(f"{printable(said(objective, found))}  {found.seconds:.3f} s", flush=True)
            self._show(found.witness, found.statistics)
            if not (found.optimal or found.verdict == EMPTY):
                code = EXIT_UNKNOWN
        return code

    def name_of_file(self) -> str:
        return self.args.question.stem

    def _record(self) -> dict[str, Any]:
        networks = {part.name: part.network.sha256 for part in self.question.parts}
        return {"kind": "question", "question": str(self.args.question), "title": self.question.title, "networks": networks}

    def _witness(self, witness: Witness | None) -> dict[str, Any]:
        if witness is None:
            return {"inputs": None, "outputs": None}
        return {"inputs": dict(self._inputs(witness)), "outputs": dict(self._outputs(witness))}

    def _inputs(self, witness: Witness) -> list[tuple[str, list[int]]]:
        """By name: of inputs, or of the networks that read them."""
        names: dict[int, list[str]] = {}
        for part in self.question.parts:
            names.setdefault(part.number, []).append(part.name)
        return [(" and ".join(names[k]), list(x)) for k, x in enumerate(witness.inputs)]

    def _outputs(self, witness: Witness) -> list[tuple[str, list[int]]]:
        found = []
        for part in self.question.parts:
            y = witness.outputs[part.number][part.outputs : part.outputs + len(part.network.outputs)]
            found.append((part.name, list(y)))
        return found

    def _show(self, witness: Witness | None, statistics: dict[str, float]) -> None:
        if self.args.verbose and statistics:
            print("    " + "  ".join(f"{name} {value:.10g}" for name, value in statistics.items()))
        if witness is None or self.args.quiet:
            return
        for what, tensors in (("input", self._inputs(witness)), ("output", self._outputs(witness))):
            for name, values in tensors:
                more = f", ... ({len(values)} in all)" if len(values) > SHOWN and not self.args.verbose else ""
                shown = values if self.args.verbose else values[:SHOWN]
                print(f"    {what} of {name}: {', '.join(map(str, shown))}{more}", flush=True)


def said(objective: Objective, found: Optimum) -> str:
    """As in "largest output[0] - output[1]: 12"."""
    what = f"{'largest' if objective.sign > 0 else 'smallest'} {objective.text}"
    if found.verdict == EMPTY:
        return f"{what}: none, no input meets the assumptions"
    if found.optimal and found.value is not None:
        return f"{what}: {objective.value(found.value)}{found.reason and f', {found.reason}'}"
    ends = ["unknown" if end is None else str(objective.value(end)) for end in (found.value, found.upper)]
    return f"{what}: from {ends[0]} to {ends[1]}, open: {found.reason}"


def sources(question: Question) -> list[Sources]:
    """Where the networks of the query come from."""
    found: list[list[Source]] = [[] for _ in question.query.networks]
    for part in question.parts:
        file = next(file for file in question.files if file.name == part.name)
        found[part.number].append(Source(file.path, file.bits, file.input_bits, part.network.runtime or None, file.accumulator))
    return [parts[0] if len(parts) == 1 else tuple(parts) for parts in found]


def _optimum_record(objective: Objective, found: Optimum) -> dict[str, Any]:
    value, bound = (None if end is None else objective.value(end) for end in (found.value, found.upper))
    fields = {"objective": objective.text, "sense": "maximize" if objective.sign > 0 else "minimize"}
    fields |= {"verdict": found.verdict, "reason": found.reason}
    return {**fields, "value": value, "bound": bound, "seconds": round(found.seconds, 6), "statistics": found.statistics}


def export_question(args: argparse.Namespace) -> int:
    """A file for each query; 5 if a limit was too small for one."""
    expect_format(args)
    queries = asked_of(args)
    return export_all(args, queries[0].query.networks[0], queries)


def compare_question(args: argparse.Namespace) -> int:
    """Each query to several backends; 1 if they disagree."""
    backends, queries = chosen_backends(args), asked_of(args)
    return compare_all(args, backends, queries[0].query.networks[0], queries)


def asked_of(args: argparse.Namespace) -> list[Asked]:
    """The queries of yes or no: of an objective, whether a value is attained, and whether anything is beyond it."""
    question, stem = read_question(args), args.question.stem
    if not question.objectives:
        if args.at is not None:
            raise ArgumentError("at", f"{args.question} has no objective, and asks no value")
        return [Asked(question.query, stem)]
    if args.at is None:
        raise InputError(
            f"{args.question}: has an objective, expected --at VALUE: whether that is attained, and whether anything is beyond"
        )
    queries = list[Asked]()
    for k, objective in enumerate(question.objectives):
        for more, word in enumerate(("attained", "beyond")):
            bound = objective.maximum(args.at) + more
            query = replace(question.query, violation=reaching(question.query.violation, objective.goal, bound))
            queries.append(Asked(query, f"{stem}_objective{k}_{word}", len(queries)))
    return queries
