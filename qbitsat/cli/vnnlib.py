"""VNN-LIB: `verify QUERY.vnnlib` and `supports`, as the standard has a solver's command line (its chapter 5); and `export` and `compare`.

For `verify`, standard output has the verdict and nothing before it; all else goes to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..campaign import RESULTS, Asked
from ..certificate.write import Source
from ..errors import InputError
from ..importers.onnx_file import QUANTIZED, RUNTIMES
from ..importers.onnx_file.protobuf import OPSETS
from ..limits import NO_LIMITS, LimitReached, Limits
from ..network.names import printable
from ..options import ROWS, TABLE
from ..properties.vnnlib import Assignment, Question, bind, read, write_tensors
from ..starting import is_command
from ..verify import UNKNOWN, Verdict, verify
from .arguments import Parser, add_compare, add_export, add_option, whole
from .commands import expect_format, export_all
from .compare import chosen_backends, compare_all
from .exit_codes import exit_codes
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .proofs import Proofs, add_out, clear, table_options, verdict_record
from .usage import expect_folder

ENDING = ".vnnlib"
COMMANDS = {
    "verify": "Decide a VNN-LIB query: sat (with an assignment, checked), unsat, unknown or timed-out.",
    "export": "Write a VNN-LIB query as a file for any other solver.",
    "compare": "Give a VNN-LIB query to SAT and to SMT solvers.",
}
SAT, UNSAT, UNSURE, TIMED_OUT = "sat", "unsat", "unknown", "timed-out"
# Seconds of the limit that are left for the end of the process, and the part of it.
SPARED, SPARED_PART = 0.4, 0.05
TYPES = ("float32", "int8", "uint8", "real")
CAPABILITIES: dict[str, tuple[str, ...]] = {
    "vnnlib-versions": ("1.0", "2.0"),
    "onnx-opset-versions": (str(OPSETS.start), str(OPSETS.stop - 1)),
    "onnx-element-types": TYPES,
    "onnx-operators": tuple(f"{kind} int8 uint8" for kind in sorted(QUANTIZED)),
    "onnx-operators-unsat-proofs": (),
    "hidden-node-theories": ("NH", "H"),
    "multiple-input-output-theories": ("SIO", "MIO"),
    "multiple-network-theories": ("SNET", "MENET", "MINET", "MNET"),
    "multiple-node-comparison-theories": ("SNC", "MNC"),
    "arithmetic-complexity-theories": ("BND", "OUTC", "LIN"),
    "optimised-disjunctive-reasoning": ("true",),
    "serialise-assignments": ("true",),
    "unsat-proofs": ("false",),
}


def is_asked(words: Sequence[str]) -> bool:
    """Whether arguments are those of a command of ours with a VNN-LIB file."""
    return len(words) > 1 and words[0] in COMMANDS and any(word.endswith(ENDING) and not word.startswith("-") for word in words[1:])


def add_supports(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    for name in CAPABILITIES:
        group.add_argument(f"--{name}", dest="capability", action="store_const", const=name)


def supports(args: argparse.Namespace) -> int:
    """What the standard asks of a solver, a line each."""
    for line in CAPABILITIES[args.capability]:
        print(line)
    return EXIT_HOLDS


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The arguments of such a command; `run` is its function."""
    command = words[0]
    made = Parser(
        prog=f"qbitsat {command} QUERY.vnnlib",
        description=COMMANDS[command],
        epilog=exit_codes(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        usage=f"qbitsat {command} QUERY.vnnlib --network NAME=FILE [OPTION ...]",
    )
    made.add_argument("query", metavar="QUERY.vnnlib", type=Path, help="a VNN-LIB file, of version 2.0 or 1.0")
    text = "the .onnx of a network that the query declares; again for each that is not equal to another. One FILE alone needs no NAME"
    made.add_argument("--network", metavar="NAME=FILE", action="append", default=[], help=text)
    made.add_argument("--runtime", metavar="NAME", choices=RUNTIMES, help=f"whose rounding: {', '.join(RUNTIMES)}; the first by default")
    text = "take float models whose weights are all exact, and ask about inputs k / N alone; N is a power of two"
    made.add_argument("--grid", metavar="N", type=whole("--grid", 1), help=text)
    if command == "export":
        add_export(made)
        made.set_defaults(run=export_query)
    elif command == "compare":
        add_compare(made)
        made.set_defaults(run=compare_query)
    else:
        text = "write the assignment there, a file of an ONNX tensor for each variable, instead of printing it"
        made.add_argument("--serialise-assignments", metavar="FOLDER", type=Path, help=text)
        for row in TABLE:
            add_option(made, ROWS[row.name])
        add_out(made)
        made.set_defaults(run=verify_query)
    return made.parse_args(words[1:])


def export_query(args: argparse.Namespace) -> int:
    """The query as a file; 5 if a limit was too small for it."""
    expect_format(args)
    asked = _asked(args)
    return export_all(args, asked.query.networks[0], [asked])


def compare_query(args: argparse.Namespace) -> int:
    """The query to several backends; 1 if they disagree."""
    backends, asked = chosen_backends(args), _asked(args)
    return compare_all(args, backends, asked.query.networks[0], [asked])


def _asked(args: argparse.Namespace) -> Asked:
    question = Question(bind(read(args.query), networks(args.network), args.runtime, args.grid), NO_LIMITS)
    _note(question)
    return Asked(question.query, args.query.stem)


def _note(question: Question) -> None:
    for note in question.notes:
        print(f"qbitsat: note: {printable(note)}", file=sys.stderr)


def verify_query(args: argparse.Namespace) -> int:
    """Print the verdict, and the assignment of sat."""
    expect_folder(args)
    files = networks(args.network)
    timeout = None if args.timeout is None else max(0.01, args.timeout * (1 - SPARED_PART) - SPARED - age())
    options = table_options(args) | {"timeout": timeout}
    limits = NO_LIMITS if timeout is None and args.memory is None else Limits(timeout, args.memory)
    try:
        question = Question(bind(read(args.query), files, args.runtime, args.grid), limits)
    except LimitReached as limit:
        return unsure(limit.reason)
    _note(question)
    if timeout is not None:
        options["timeout"] = max(0.01, timeout - limits.seconds())
    with ExitStack() as stack:
        proofs = Proofs(args, [Source(None)], stack, question.record)
        clear(args, args.query.stem)
        verdict = verify(question.query, **options)
        found = None if verdict.witness is None else question.assignment(verdict.witness)
        names = [proofs.certify(args.query.stem, question.query, verdict)]
        proofs.put({**question.record, "networks": question.hashes, **verdict_record(verdict), **said(found), "certificates": names})
    if args.out:
        print(f"qbitsat: results in {args.out / RESULTS}", file=sys.stderr)
    return answer(question, verdict, found, args.serialise_assignments)


def said(found: Assignment | None) -> dict[str, Any]:
    """What a line says of the numbers of all variables."""
    return {"assignment": None if found is None else {variable.name: values for variable, values in found}}


def age() -> float:
    """Seconds that this process has had before its query, where it is the command's own and Linux says when it began; else 0."""
    if not is_command():
        return 0.0
    try:
        with open("/proc/self/stat", "rb") as stat, open("/proc/uptime", "rb") as uptime:
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
            return float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0


def networks(words: Sequence[str]) -> dict[str, str]:
    """Files by the names of networks; "" for one without."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, file = word.partition("=")
        name, file = (name, file) if equals else ("", word)
        if name in found or not file:
            raise InputError(f"--network: {word!r}, expected NAME=FILE, each name once")
        found[name] = file
    return found


def answer(question: Question, verdict: Verdict, found: Assignment | None, folder: Path | None) -> int:
    if verdict.verdict == UNKNOWN:
        return unsure(verdict.reason)
    if found is None:
        print(UNSAT)
        return EXIT_HOLDS
    if folder is not None:
        write_tensors(question, found, folder)
    print(SAT)
    if folder is None:
        print("\n".join(lines(found, question.bound.spec.version)))
    return EXIT_VIOLATED


def unsure(reason: str) -> int:
    if reason == "timeout":
        print(TIMED_OUT)
    else:
        print(UNSURE)
        print(f"qbitsat: unknown: {printable(reason)}", file=sys.stderr)
    return EXIT_UNKNOWN


def lines(found: Assignment, version: tuple[int, int]) -> list[str]:
    """The assignment as the standard has it: a line a variable and one for each of its numbers; of 1.0 as VNN-COMP has it."""
    if version == (1, 0):
        pairs = [f"({variable.name}_{i} {value!r})" for variable, values in found for i, value in enumerate(values)]
        return [f"({pairs[0]}", *(f" {pair}" for pair in pairs[1:-1]), f" {pairs[-1]})"]
    made = []
    for variable, values in found:
        made.append(f"{variable.name} {variable.dtype} [{','.join(map(str, variable.shape))}]")
        made += [repr(value) for value in values]
    return made
