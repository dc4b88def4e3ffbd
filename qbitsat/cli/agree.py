"""agree: two networks, or one as two runtimes compute it, on the same inputs. equal: two quantizations of one network."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from ..campaign import RESULTS
from ..certificate.write import Sources
from ..errors import ArgumentError, InputError
from ..importers import load, load_inputs
from ..network import Network
from ..network.names import printable
from ..network.reference import first_maximum
from ..properties import Query, agreement, equality, joined
from ..report.observed import layer_lines, observed, observed_lines
from ..verify import HOLDS, UNKNOWN, VIOLATED, Verdict
from .arguments import parse_samples, reading
from .commands import noted_network
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .printing import file_of, one_of, print_question
from .proofs import Proofs, asked, named_region, placed, shared_time, source_of
from .reach import centres
from .signals import interrupts_say
from .usage import expect_folder, expect_no_proof, expect_samples


def agree(args: argparse.Namespace) -> int:
    """A line a sample and eps, and a summary; 10 if some input tells the two apart, 5 if that is open for some."""
    if args.other is None and args.other_runtime is None and args.other_accumulator is None:
        raise InputError("agree: one network as it is, expected OTHER, a second file, --other-runtime NAME, or --other-accumulator TYPES")
    _expect_usage(args)
    first, second = noted_network(args), _second(args)
    if args.observe is not None:
        return observe(args, first, second)
    what = "the same class" if args.within is None else f"outputs within {args.within} of each other"
    return _decide(args, "agree", first, second, what)


def equal(args: argparse.Namespace) -> int:
    """The same of what outputs mean."""
    _expect_usage(args)
    first, second = noted_network(args), _second(args)
    what = "the same class" if args.within is None else f"outputs within {args.within} of each other, in real units"
    return _decide(args, "equal", first, second, what)


def _expect_usage(args: argparse.Namespace) -> None:
    if getattr(args, "observe", None) is not None:
        expect_no_proof(args)
        return
    expect_samples(args, distance=False)
    expect_folder(args)


def _second(args: argparse.Namespace) -> Network:
    """OTHER, or the same file again, with what options say of it alone."""
    given = vars(args)
    bits, runtime = given.get("other_bits") or args.bits, given.get("other_runtime") or args.runtime
    try:
        return load(args.other or args.network, bits, args.input_bits, runtime, _other_accumulator(args))
    except ArgumentError as error:
        own = f"other_{error.argument}"
        raise ArgumentError(own if given.get(own) else error.argument, error.said) from error


def observe(args: argparse.Namespace, first: Network, second: Network) -> int:
    """How often the two differ on samples; nothing is proved."""
    joined(first, second)  # refuses what does not read the same integers
    inputs = load_inputs(args.observe, first.input, **reading(args))
    inputs = inputs[parse_samples(args.samples, len(inputs), args.observe)]
    found = observed(first, second, inputs)
    with ExitStack() as stack:
        Proofs(args, [], stack).put({"kind": "observe", **placed({}, {"a": first, "b": second}), **found._asdict()})
    print("\n".join(observed_lines(found, args.quiet)))
    return EXIT_VIOLATED if found.differing else EXIT_HOLDS


def _decide(args: argparse.Namespace, kind: str, first: Network, second: Network, what: str) -> int:
    how: Any = agreement if kind == "agree" else equality

    def ask(where: dict[str, Any], x: Any) -> Query:
        return how(first, second, x, where.get("eps"), args.within, region=where.get("region"))

    questions = list(centres(args, first))
    if args.print:
        where, x = one_of(questions)
        whole, given = ask(where, x), vars(args)
        runtime, bits = given.get("other_runtime") or args.runtime, given.get("other_bits") or args.bits
        own = {"path": str(args.other or args.network), "accumulator": _other_accumulator(args)}
        other = file_of(args, "b", **own, runtime=runtime, bits=bits)
        # Real units become integers of both, which only the formula itself says.
        words = {"asks": {"hold": [_same(args.within)]}} if kind == "agree" or args.within is None else {}
        return print_question(whole, [file_of(args, "a"), other], _named(where, " "), **words)
    counts: Counter[str] = Counter()
    with interrupts_say("query", "queries", counts.total), ExitStack() as stack:
        proofs, budget = Proofs(args, _sources(args, first, second), stack), shared_time(args)
        for n, (where, x) in enumerate(questions):
            query, verdict = asked(partial(ask, where, x), budget, len(questions) - n)
            counts[verdict.verdict] += 1
            within = args.within if kind == "agree" else args.within and str(args.within)
            fields = {"kind": kind, **placed(where, {"a": first, "b": second}), "within": within}
            fields |= {"verdict": verdict.verdict, "reason": verdict.reason, "engine": verdict.engine, "seconds": verdict.seconds}
            if verdict.witness is not None:
                fields |= {"witness": list(verdict.witness.inputs[0]), "outputs": _both(verdict)}
            name = f"{kind}_{named_region(where)}".rstrip("_")
            proofs.put({**fields, "certificates": [proofs.certify(name, query, verdict)]})
            if not args.quiet:
                print("\n".join([_line(where, verdict), *(_details(first, second, verdict) if args.verbose else [])]), flush=True)
    print(_summary(first, second, what, counts))
    if args.out:
        print(f"results in {args.out / RESULTS}")
    if counts[VIOLATED]:
        return EXIT_VIOLATED
    return EXIT_UNKNOWN if counts[UNKNOWN] else EXIT_HOLDS


def _sources(args: argparse.Namespace, first: Network, second: Network) -> list[Sources]:
    """Of the network that both are parts of."""
    path, bits = str(args.other or args.network), vars(args).get("other_bits") or args.bits
    return [(source_of(args, first), source_of(args, second, path=path, bits=bits, accumulator=_other_accumulator(args)))]


def _other_accumulator(args: argparse.Namespace) -> str | None:
    """What the second network's accumulators are; as wide as they take to be, unless that is said of it or of both."""
    return vars(args).get("other_accumulator") or args.accumulator


def _same(within: int | None) -> str:
    """What must hold, as a question file has it."""
    return "argmax(a.output) == argmax(b.output)" if within is None else f"abs(a.output - b.output) <= {within}"


def _both(verdict: Verdict) -> list[list[int]]:
    """The outputs of both networks at the witness."""
    assert verdict.witness is not None
    outputs = list(verdict.witness.outputs[0])
    return [outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :]]


def _named(where: dict[str, Any], between: str = "  ") -> str:
    return f"sample {where['sample']}{between}eps {where['eps']}" if where else "all inputs"


def _line(where: dict[str, Any], verdict: Verdict) -> str:
    note = verdict.reason
    if verdict.witness is not None:
        a, b = _both(verdict)
        most = max(abs(p - q) for p, q in zip(a, b, strict=True))
        note = f"classes {first_maximum(a)} and {first_maximum(b)}, outputs up to {most} apart"
    return f"{_named(where)}  {verdict.verdict:<8}  {verdict.engine or '-':<9}  {verdict.seconds:.3f} s  {note}".rstrip()


def _details(first: Network, second: Network, verdict: Verdict) -> list[str]:
    """The witness, what both make of it, and the layers in which they differ."""
    if verdict.witness is None:
        return []
    x = verdict.witness.inputs[0]
    outputs = " and ".join(", ".join(map(str, y)) for y in _both(verdict))
    lines = layer_lines(observed(first, second, np.array([x])))
    return [f"    {line}" for line in (f"input {', '.join(map(str, x))}", f"outputs {outputs}", *lines)]


def _summary(first: Network, second: Network, what: str, counts: Counter[str]) -> str:
    names = [f"{printable(n.name)}{f' as by {n.runtime}' if n.runtime else ''}" for n in (first, second)]
    return f"{names[0]} and {names[1]}, {what}: {counts[HOLDS]} hold, {counts[VIOLATED]} violated, {counts[UNKNOWN]} unknown"
