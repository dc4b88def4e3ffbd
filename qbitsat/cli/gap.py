"""gap: how far protected features alone can move the outputs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from ..campaign import RESULTS
from ..errors import InputError
from ..importers import load_inputs
from ..limits import LimitReached
from ..network import Network
from ..optimize import Optimum, maximize
from ..properties import Box, Gap, gap
from ..properties.gap import apart, domain_of
from ..properties.question_file import Objective
from ..reach.extremes import Budget
from ..verify import UNKNOWN
from .arguments import parse_samples, reading
from .commands import noted_network
from .output import EXIT_HOLDS, EXIT_UNKNOWN
from .printing import file_of, print_question
from .proofs import Proofs, placed, shared_time, source_of
from .signals import interrupts_say
from .usage import expect_folder


def gap_command(args: argparse.Namespace) -> int:
    """A line an output; 5 if some gap is open."""
    expect_folder(args)
    network = noted_network(args)
    protected = parse_samples(args.protected, network.num_inputs, args.network, "features", "--protected")
    outputs = parse_samples(args.outputs, len(network.outputs), args.network, "outputs")
    groups, box = parse_groups(args.groups, network.num_inputs, args.network), _domain(args, network)
    if args.print:
        return _print(args, network, protected, outputs, groups, box)
    exact = list[bool]()
    with interrupts_say("output", "outputs", lambda: len(exact)), ExitStack() as stack:
        proofs, budget = Proofs(args, [source_of(args, network)], stack), shared_time(args)
        for n, output in enumerate(outputs):
            asked, found = _largest(partial(gap, network, protected, output, groups=groups, box=box), budget, len(outputs) - n)
            exact.append(found.optimal)
            fields = {"kind": "gap", **placed({}, {"net": network}), "output": output, "protected": protected, "groups": groups}
            fields |= {"domain": box and [box.lo.tolist(), box.hi.tolist()], "verdict": found.verdict, "value": found.value}
            fields |= {"upper": found.upper, "reason": found.reason, "seconds": found.seconds}
            pair = [] if asked is None or found.witness is None else [list(x) for x in asked.inputs(found.witness.inputs)]
            ends = ("attained", "beyond") if found.optimal else ()
            proofs.put({**fields, "inputs": pair, "certificates": proofs.each(f"gap_output{output}", ends, found.certificates)})
            if not args.quiet:
                print("\n".join(_lines(output, found, network, pair if args.verbose else [])), flush=True)
    print(f"{len(exact)} {'output' if len(exact) == 1 else 'outputs'}: {sum(exact)} exact, {len(exact) - sum(exact)} open")
    if args.out:
        print(f"results in {args.out / RESULTS}")
    return EXIT_HOLDS if all(exact) else EXIT_UNKNOWN


def _print(
    args: argparse.Namespace, network: Network, protected: list[int], outputs: list[int], groups: list[list[int]], box: Box | None
) -> int:
    """Two copies on inputs of their own, and an objective for each output."""
    query, terms = apart(network, protected, groups=groups, box=box)
    objectives = [Objective("", 1, terms[output], 0) for output in outputs]
    files = [file_of(args, name) for name in ("a", "b")]
    return print_question(query, files, f"{network.name}, how far protected features move outputs", objectives=objectives)


def _largest(make: Callable[[], Gap], budget: Budget, left: int) -> tuple[Gap | None, Optimum]:
    """In its part of the time that is left; where there is none, none is spent on making it."""
    asked = None
    try:
        budget.turn(left)
        budget.limits.check()
        asked = make()
        return asked, maximize(asked.query, asked.objective, **budget.each())
    except LimitReached as limit:
        return asked, Optimum(UNKNOWN, None, None, limit.reason)


def _lines(output: int, found: Optimum, network: Network, pair: list[list[int]]) -> list[str]:
    scale = network.output_forms[output].scale
    if found.optimal:
        what = f"{found.value}  ({found.value * scale:.6g})" if found.value is not None else "no input"
        what += found.reason and f"  {found.reason}"
    else:
        least, most = ("?" if end is None else str(end) for end in (found.value, found.upper))
        what = f"{least} to {most}  {found.reason}"
    return [f"output {output}  gap {what}  {found.seconds:.3f} s", *(f"    {x}" for x in pair)]


def parse_groups(text: str | None, count: int, source: Path) -> list[list[int]]:
    """The elements of each part of --groups, numbers below `count`; none without that option."""
    return [] if text is None else [parse_samples(part, count, source, "features", "--groups") for part in text.split(",")]


def _domain(args: argparse.Namespace, network: Network) -> Box | None:
    if args.domain is None:
        return None
    rows = load_inputs(args.domain, network.input, **reading(args)).reshape(-1, network.num_inputs)
    if len(rows) != 2:
        raise InputError(f"{args.domain}: {len(rows)} rows, expected two, the smallest and the largest value of each feature")
    return domain_of(rows, str(args.domain))
