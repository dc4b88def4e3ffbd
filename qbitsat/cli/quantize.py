"""quantize and bits: from a float model."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..bits import bits as sweep
from ..bits import mixed_bits
from ..bits.sweep import SUMMARY
from ..errors import ArgumentError, InputError, MissingExtraError
from ..importers import load_labels, save
from ..importers.float_models import load_float
from ..importers.inputs import read_array
from ..limits import LimitReached, Limits
from ..network.float_network import FloatNetwork
from ..network.names import printable
from ..options import TABLE
from ..quantize import Quantized, doubtful_units, quantize_with_report
from ..report.quantizing import accuracies, bits_plot, bits_table, quantization_table, trial_line, width_line
from .arguments import parse_samples
from .gap import parse_groups
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED, Progress
from .signals import interrupts_say
from .usage import expect_folder

T = TypeVar("T")

PLOT = "bits.png"


def quantize(args: argparse.Namespace) -> int:
    """Quantize, say what that did, and write the network."""
    if args.labels and not args.calibration:
        raise InputError("--labels: of no samples, expected --calibration FILE as well")
    if args.out and args.out.suffix != ".npz":
        raise InputError(f"--out: {args.out}, expected a file that ends in .npz")
    if args.out and args.out.exists() and not args.overwrite:
        raise InputError(f"--out: {args.out} exists already; expected a new name, or --overwrite")
    limits = Limits(args.timeout, args.memory)
    model = load_float(args.network, args.layers)
    samples = None if args.calibration is None else read_array(args.calibration, ("x", "inputs"), args.header) * (args.unit or 1.0)
    labels = None if args.labels is None else load_labels(args.labels, header=args.header)
    try:
        made = quantized(model, args, samples, labels, limits)
    except (LimitReached, MemoryError) as limit:
        reason = limit.reason if isinstance(limit, LimitReached) else "memory"
        print(f"not quantized: {reason} after {limits.seconds():.3f} s")
        return EXIT_UNKNOWN
    if samples is not None and (note := doubtful_units(samples, made.network.input, args.unit is not None)):
        noted(f"{args.calibration}: {note}")
    print(quantization_table(made.report))
    for remark in made.network.remarks:
        print(printable(remark))
    if made.report.accuracy is not None:
        print(accuracies(made.report))
    if args.out:
        save(made.network, args.out)
        print(f"network in {printable(str(args.out))}")
    return EXIT_HOLDS


def quantized(model: FloatNetwork, args: argparse.Namespace, samples: Any, labels: Any, limits: Limits) -> Quantized:
    """With a bar on a terminal: samples that scales are chosen by, and that errors are measured on."""
    count = 0 if samples is None else len(samples)
    bar = Progress(2 * count, " samples")
    shown = {"calibration": 0, "layers": count, "errors": count}
    limits.progress = lambda told: bar.at(shown.get(told.stage, 0) + int(told.counts.get("samples", 0)), told.stage)
    try:
        return quantize_with_report(model, args.format, samples, method=args.method, labels=labels, limits=limits)
    finally:
        bar.close()


def bits(args: argparse.Namespace) -> int:
    """What is found, and the answer; 0 if some width reaches the target, 10 if all miss it, else 5."""
    _expect_usage(args)
    model = load_float(args.network, args.layers)
    inputs = read_samples(args.inputs, args)
    labels = None if args.labels is None else load_labels(args.labels, header=args.header)
    given: dict[str, Any] = {
        "target": args.target,
        "ties": args.ties,
        "samples": parse_samples(args.samples, len(inputs), args.inputs),
        "calibration": None if args.calibration is None else read_samples(args.calibration, args),
        "method": args.method,
        "out": args.out,
        "resume": args.resume,
        "overwrite": args.overwrite,
        **{name: value for name in ("format", "widths", "fractions") if (value := getattr(args, name)) is not None},
        **{row.name: getattr(args, row.name) for row in TABLE},
    }
    given |= fairness(args, inputs[0].size if len(inputs) else 0)
    return (of_each_layer if args.per_layer else of_all)((model, inputs, labels, args.eps), given, args.quiet)


def _expect_usage(args: argparse.Namespace) -> None:
    expect_folder(args)
    if args.per_layer:
        for name, what in (("fractions", "is for formats with F"), ("protected", "is for one width of all layers")):
            if getattr(args, name) is not None:
                raise ArgumentError(name, f"{what}, expected none with --per-layer")
    if args.protected is None and (args.groups is not None or args.domain is not None):
        raise InputError("--groups and --domain: are about the features of --protected LIST, expected that as well")


def fairness(args: argparse.Namespace, count: int) -> dict[str, Any]:
    """What is asked about protected features, numbers below `count`."""
    if args.protected is None:
        return {}
    return {
        "protected": parse_samples(args.protected, count, args.inputs, "features", "--protected"),
        "groups": parse_groups(args.groups, count, args.inputs),
        "domain": None if args.domain is None else read_samples(args.domain, args),
    }


def of_all(asked: tuple[Any, ...], given: dict[str, Any], quiet: bool) -> int:
    """The same bits for all layers."""
    found = told_of(sweep, asked, given, quiet, width_line, ("width", "widths"))
    print(f"\n{bits_table(found)}" if not quiet else bits_table(found))
    if found.float_accuracy is not None:
        print(f"the float model's accuracy is {found.float_accuracy:.4f}")
    print(found.answer)
    out = given["out"]
    if out:
        print(f"results in {printable(str(out / SUMMARY))}")
        try:
            bits_plot(found, out / PLOT)
            print(f"plot in {printable(str(out / PLOT))}")
        except MissingExtraError as missing:
            print(f"qbitsat: no plot: {missing}", file=sys.stderr)
    return exit_of(found.answer.smallest is not None, bool(found.answer.open))


def of_each_layer(asked: tuple[Any, ...], given: dict[str, Any], quiet: bool) -> int:
    """Bits of their own for the weights of each layer."""
    found = told_of(mixed_bits, asked, given, quiet, trial_line, ("choice", "choices"))
    print(found)
    if given["out"]:
        print(f"results in {printable(str(given['out'] / SUMMARY))}")
    return exit_of(found.found is not None, bool(found.open))


def told_of(
    ask: Callable[..., T], asked: tuple[Any, ...], given: dict[str, Any], quiet: bool, line: Callable[[Any], str], words: tuple[str, str]
) -> T:
    """What is found, with a line for each width as it ends; an interrupt says how many those are."""
    ended = []

    def told(found: Any) -> None:
        ended.append(found)
        if not quiet:
            print(line(found), flush=True)

    with interrupts_say(*words, lambda: len(ended)):
        return ask(*asked, told=told, noted=noted, **given)


def noted(doubt: str) -> None:
    """Something that may be meant in another way."""
    print(f"qbitsat: note: {printable(doubt)}", file=sys.stderr)


def exit_of(reached: bool, is_open: bool) -> int:
    return EXIT_HOLDS if reached else EXIT_UNKNOWN if is_open else EXIT_VIOLATED


def read_samples(path: Path, args: argparse.Namespace) -> np.ndarray:
    """Integers as they are, or real values with --unit."""
    array = read_array(path, ("x", "inputs"), args.header)
    if args.unit is not None:
        return array * args.unit
    whole = np.rint(array) if array.dtype.kind == "f" else array
    if not np.array_equal(whole, array) or np.abs(whole).max(initial=0) >= 1 << 31:
        raise InputError(f"{path}: real values, expected whole numbers, or --unit NUMBER")
    return whole.astype(np.int64)
