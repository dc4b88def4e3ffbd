"""overflow and range: how far numbers inside a network reach."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..campaign import RESULTS
from ..errors import InputError
from ..importers import load_inputs
from ..limits import LimitReached
from ..network import Network
from ..properties import And, Box, Query
from ..properties.robustness import centre, linf_box
from ..reach import output_ranges, overflow
from ..reach.extremes import chosen_layers, region
from ..report.reach import range_line, range_record, width_details, width_line, width_record
from .arguments import parse_epsilons, parse_samples, reading
from .commands import noted_network
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .printing import file_of, one_of, print_question
from .proofs import Proofs, named_region, placed, source_of, table_options
from .signals import interrupts_say


def overflow_command(args: argparse.Namespace) -> int:
    """A line a layer, and the width of all regions; 10 if some accumulator leaves --width bits, 5 if that is open."""
    network = noted_network(args)
    layers = None if args.layers is None else parse_samples(args.layers, len(network.layers), args.network, "layers")
    if args.print:
        most = 1 << (args.width - 1)
        return _print(args, network, {"hold": [f"{-most} <= layer{k}.acc <= {most - 1}" for k in chosen_layers(network, layers)]})
    needed, enough, unbounded = list[int](), list[int](), 0
    longest = max(len(layer.name) for layer in network.layers)
    with interrupts_say("layer", "layers", lambda: len(needed)), ExitStack() as stack:
        proofs = Proofs(args, [source_of(args, network)], stack)
        for where, box in regions(args, network):
            if where and not args.quiet:
                print(where["text"], flush=True)

            def told(found: Any, fields: dict[str, Any] = where) -> None:
                ends = [*(["needed"] if found.needed > 1 else []), *(f"enough{k}" for k in range(found.parts))]
                names = proofs.each(f"overflow_{named_region(fields)}layer{found.layer}", ends, found.certificates)
                proofs.put({**placed(fields, {"net": network}), **width_record(found, args.width), "certificates": names})
                needed.append(found.needed)
                enough.append(found.enough)
                if not args.quiet:
                    print("\n".join([width_line(found, args.width, longest), *(width_details(found) if args.verbose else [])]), flush=True)

            try:
                overflow(network, box, layers=layers, exact=args.exact, total=args.total, told=told, **table_options(args))
            except LimitReached as limit:
                print(f"open: {limit.reason}, before there are any bounds")
                unbounded += 1
    if not needed:
        return EXIT_UNKNOWN
    least, most = max(needed), None if unbounded else max(enough)
    print(_widths(least, most))
    if args.out:
        print(f"results in {args.out / RESULTS}")
    if least > args.width:
        return EXIT_VIOLATED
    return EXIT_UNKNOWN if most is None or most > args.width else EXIT_HOLDS


def _widths(least: int, most: int | None) -> str:
    """What some input needs and, unless a region is without bounds, what is enough."""
    if most is None:
        return (
            f"less than {least} bits are not enough for all accumulators; how many are is open"
            if least > 1
            else "how many bits are enough is open"
        )
    if least == most:
        return f"{most} bits are enough for all accumulators, and {most - 1} are not"
    return f"{most} bits are enough for all accumulators" + (f", and less than {least} are not" if least > 1 else "")


def range_command(args: argparse.Namespace) -> int:
    """A line an output; 5 if some end is open."""
    network = noted_network(args)
    outputs = None if args.outputs is None else parse_samples(args.outputs, len(network.outputs), args.network, "outputs")
    if args.print:
        numbers = range(len(network.outputs)) if outputs is None else outputs
        ends = [f"output[{', '.join(map(str, np.unravel_index(i, network.output.shape)))}]" for i in numbers]
        return _print(args, network, {"maximize": ends, "minimize": ends})
    exact, unbounded = list[bool](), 0
    with interrupts_say("output", "outputs", lambda: len(exact)), ExitStack() as stack:
        proofs = Proofs(args, [source_of(args, network)], stack)
        for where, box in regions(args, network):
            if where and not args.quiet:
                print(where["text"], flush=True)

            def told(found: Any, fields: dict[str, Any] = where) -> None:
                names = list[str | None]()
                for side, ends in zip(("least", "most"), found.certificates, strict=True):
                    if getattr(found, side)[0] == getattr(found, side)[1]:
                        name = f"range_{named_region(fields)}output{found.output}_{side}"
                        names += proofs.each(name, ("attained", "beyond"), ends)
                proofs.put({**placed(fields, {"net": network}), **range_record(found), "certificates": names})
                exact.append(found.exact)
                if not args.quiet:
                    print(range_line(found, network), flush=True)

            try:
                output_ranges(network, box, outputs, total=args.total, told=told, **table_options(args))
            except LimitReached as limit:
                print(f"open: {limit.reason}, before there are any bounds")
                unbounded += 1
    if not exact:
        return EXIT_UNKNOWN
    print(f"{len(exact)} {'output' if len(exact) == 1 else 'outputs'}: {sum(exact)} exact, {len(exact) - sum(exact)} open")
    if args.out:
        print(f"results in {args.out / RESULTS}")
    return EXIT_HOLDS if all(exact) and not unbounded else EXIT_UNKNOWN


def _print(args: argparse.Namespace, network: Network, asks: dict[str, list[str]]) -> int:
    """The question as a file, of the only region."""
    where, box = one_of(list(regions(args, network)))
    query = Query((network,), (region(network, box),), And(()))
    return print_question(query, [file_of(args)], f"{network.name}{', ' if where else ''}{where.get('text', '').rstrip(':')}", asks=asks)


def regions(args: argparse.Namespace, network: Network) -> Iterator[tuple[dict[str, Any], Box | None]]:
    """What is said of a region, and its box: one for every sample and eps, or all inputs."""
    if args.inputs is not None and args.eps is None:
        raise InputError("--inputs: needs --eps LIST, the distance around samples")
    for where, x in centres(args, network):
        yield where, None if x is None else linf_box(network, centre(network, x), where["eps"], where["region"])


def centres(args: argparse.Namespace, network: Network) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    """What is said of a region, and the input that it is around, at distance 0 without --eps; for all inputs nothing and None."""
    if args.inputs is None:
        for name, nothing in (("eps", None), ("region", None), ("samples", ":")):
            if getattr(args, name) != nothing:
                raise InputError(f"--{name}: around no sample, expected --inputs FILE as well")
        yield {}, None
        return
    inputs = load_inputs(args.inputs, network.input, **reading(args))
    for sample in parse_samples(args.samples, len(inputs), args.inputs):
        for eps in parse_epsilons(args.eps or "0", network.input):
            yield {"text": f"sample {sample}, eps {eps}:", "sample": sample, "eps": eps, "region": args.region}, inputs[sample]
