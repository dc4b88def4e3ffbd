"""overflow and range: how far numbers inside a network reach."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from ..campaign import RESULTS
from ..errors import InputError
from ..importers import load_inputs
from ..limits import LimitReached
from ..network import Network
from ..network.layers import ACC_LIMIT
from ..properties import And, Box, Query
from ..properties.robustness import centre, linf_box
from ..reach import LayerWidth, output_ranges, overflow
from ..reach.extremes import chosen_layers, region
from ..reach.overflow import LEAVES, OPEN
from ..reach.types import parse_types
from ..report.reach import range_line, range_record, width_details, width_line, width_record
from .arguments import parse_epsilons, parse_samples, reading
from .commands import noted_network
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED
from .printing import file_of, one_of, print_question
from .proofs import Proofs, named_region, placed, source_of, table_options
from .signals import interrupts_say
from .usage import distance_of, expect_folder, expect_samples

# Objectives of a question file that is printed, of each end of each accumulator.
MOST_PRINTED = 10_000


def overflow_command(args: argparse.Namespace) -> int:
    """A line a layer, and the width of all regions; 10 if some accumulator leaves its type, 5 if that is open."""
    expect_samples(args)
    expect_folder(args)
    network = noted_network(args)
    layers = None if args.layers is None else parse_samples(args.layers, len(network.layers), args.network, "layers")
    if args.print:
        return _print(args, network, _asks(args, network, chosen_layers(network, layers)))
    found, unbounded = list[LayerWidth](), 0
    longest, named = max(len(layer.name) for layer in network.layers), "=" in args.width
    with interrupts_say("layer", "layers", lambda: len(found)), ExitStack() as stack:
        proofs = Proofs(args, [source_of(args, network)], stack)
        for where, box in regions(args, network):
            if where and not args.quiet:
                print(where["text"], flush=True)

            def told(one: LayerWidth, fields: dict[str, Any] = where) -> None:
                ends = [*(["needed"] if one.needed > 1 else []), *(f"enough{k}" for k in range(one.parts))]
                names = proofs.each(f"overflow_{named_region(fields)}layer{one.layer}", ends, one.certificates)
                proofs.put({**placed(fields, {"net": network}), **width_record(one), "certificates": names})
                found.append(replace(one, certificates=(), each=None))
                if not args.quiet:
                    print("\n".join([width_line(one, named, longest), *(width_details(one) if args.verbose else [])]), flush=True)

            asked = {"layers": layers, "width": args.width, "exact": args.exact, "each": args.each, "order": args.order}
            try:
                overflow(network, box, **asked, total=args.total, told=told, **table_options(args))
            except LimitReached as limit:
                print(f"open: {limit.reason}, before there are any bounds")
                unbounded += 1
    if not found:
        return EXIT_UNKNOWN
    print(_widths(max(one.needed for one in found), None if unbounded else max(one.enough for one in found)))
    if args.out:
        print(f"results in {args.out / RESULTS}")
    states = {one.state for one in found}
    if LEAVES in states:
        return EXIT_VIOLATED
    return EXIT_UNKNOWN if unbounded or OPEN in states else EXIT_HOLDS


def _asks(args: argparse.Namespace, network: Network, layers: list[int]) -> dict[str, list[str]]:
    """What a question file asks: that accumulators stay in their types, or how far each of them goes."""
    if args.exact or args.each:
        counts = {k: network.layers[k].affine.n_out for k in layers}
        if sum(counts.values()) > MOST_PRINTED:
            raise InputError(f"--print: the ranges of {sum(counts.values())} accumulators, expected at most {MOST_PRINTED}; see --layers")
        shapes = {k: network.layers[k].output.shape for k in layers}
        ends = [f"layer{k}.acc[{', '.join(map(str, np.unravel_index(i, shapes[k])))}]" for k in layers for i in range(counts[k])]
        return {"maximize": ends, "minimize": ends}
    hold = []
    for k, asked in parse_types(args.width, layers).items():
        lo, hi = (np.unique(side).tolist() for side in asked.limits(network.layers[k]))
        if len(lo) > 1 or len(hi) > 1 or max(-lo[0], hi[0]) >= ACC_LIMIT:
            raise InputError(f"--print: {asked.name} is no range of all accumulators of layer {k} within 2**60; expected such a type")
        hold.append(f"{lo[0]} <= layer{k}.acc <= {hi[0]}")
    return {"hold": hold}


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
    expect_samples(args)
    expect_folder(args)
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
    for where, x in centres(args, network):
        yield where, None if x is None else linf_box(network, centre(network, x), where["eps"], where["region"])


def centres(args: argparse.Namespace, network: Network) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    """What is said of a region, and the input that it is around, at distance 0 without --eps; for all inputs nothing and None."""
    if args.inputs is None:
        yield {}, None
        return
    inputs = load_inputs(args.inputs, network.input, **reading(args))
    for sample in parse_samples(args.samples, len(inputs), args.inputs):
        for eps in parse_epsilons(distance_of(args, "0"), network.input):
            yield {"text": f"sample {sample}, eps {eps}:", "sample": sample, "eps": eps, "region": args.region}, inputs[sample]
