"""monotone: whether outputs ever fall when an input grows."""

from __future__ import annotations

import argparse
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np

from ..campaign import RESULTS
from ..network import Network
from ..network.names import printable
from ..properties import monotone
from ..reach.extremes import region
from ..verify import HOLDS, UNKNOWN, VIOLATED, Verdict
from .arguments import parse_samples
from .commands import noted_network
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .printing import file_of, one_of, print_question
from .proofs import Proofs, asked, named_region, placed, shared_time, source_of
from .reach import regions
from .signals import interrupts_say
from .usage import expect_folder, expect_samples


def monotone_command(args: argparse.Namespace) -> int:
    """A line an input element and region, and a summary; 10 if some output falls, 5 if that is open."""
    expect_samples(args)
    expect_folder(args)
    network = noted_network(args)
    grows = parse_samples(args.grows, network.num_inputs, args.network, "elements", "--grows")
    outputs = parse_samples(args.outputs, len(network.outputs), args.network, "outputs")
    questions = [(where, box, i) for where, box in regions(args, network) for i in grows]
    if args.print:
        where, box, i = one_of(questions)
        whole = monotone(network, i, outputs, region(network, box), falls=args.falls)
        files = [file_of(args, name) for name in ("a", "b")]
        return print_question(whole, files, f"{network.name}, {where.get('text', '')} {place(network, i)} grows".replace(",  ", ", "))
    counts: Counter[str] = Counter()
    about = {"falls": args.falls, "outputs": outputs}
    with interrupts_say("query", "queries", counts.total), ExitStack() as stack:
        proofs, budget = Proofs(args, [source_of(args, network)] * 2, stack), shared_time(args)
        for n, (where, box, i) in enumerate(questions):
            make = partial(monotone, network, i, outputs, region(network, box), falls=args.falls)
            query, verdict = asked(make, budget, len(questions) - n)
            counts[verdict.verdict] += 1
            names = [proofs.certify(f"monotone_{named_region(where)}input{i}", query, verdict)]
            fields = {"kind": "monotone", **placed(where, {"a": network, "b": network}), "grows": i, **about}
            proofs.put({**fields, **_record(verdict), "certificates": names})
            if not args.quiet:
                print(f"{where.get('text', '')} {_line(network, i, verdict, outputs, args.falls)}".lstrip(), flush=True)
    word = "grows" if args.falls else "falls"
    print(f"{printable(network.name)}: {counts[HOLDS]} where no output {word}, {counts[VIOLATED]} where one does, {counts[UNKNOWN]} open")
    if args.out:
        print(f"results in {args.out / RESULTS}")
    if counts[VIOLATED]:
        return EXIT_VIOLATED
    return EXIT_UNKNOWN if counts[UNKNOWN] else EXIT_HOLDS


def place(network: Network, i: int) -> str:
    """An input element by its axes."""
    return f"input[{', '.join(str(int(n)) for n in np.unravel_index(i, network.input.shape))}]"


def _record(verdict: Verdict) -> dict[str, Any]:
    """witness and witness_outputs are those of the smaller input, and of the one that has grown."""
    fields = {"verdict": verdict.verdict, "reason": verdict.reason, "engine": verdict.engine, "seconds": round(verdict.seconds, 6)}
    x, y = (None, None) if verdict.witness is None else (verdict.witness.inputs, verdict.witness.outputs)
    return {**fields, "witness": x and list(map(list, x)), "witness_outputs": y and list(map(list, y))}


def _line(network: Network, i: int, verdict: Verdict, outputs: list[int], falls: bool) -> str:
    note = verdict.reason
    if verdict.witness is not None:
        (x, x1), (y, y1) = verdict.witness.inputs, verdict.witness.outputs
        j = next(j for j in outputs if (y1[j] > y[j] if falls else y1[j] < y[j]))
        note = f"at {x[i]}->{x1[i]} output {j} is {y[j]}->{y1[j]}"
    return f"{place(network, i)}  {verdict.verdict:<8}  {verdict.engine or '-':<9}  {verdict.seconds:.3f} s  {note}".rstrip()
