"""quantize and bits: from a float model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from ..bits import WidthResult
from ..bits import bits as sweep
from ..bits.sweep import SUMMARY
from ..errors import InputError, MissingExtraError
from ..importers import load_labels, save
from ..importers.float_models import load_float
from ..importers.inputs import read_array
from ..network.names import printable
from ..options import TABLE
from ..quantize import quantize_with_report
from ..report.quantizing import accuracies, bits_plot, bits_table, quantization_table, width_line
from .arguments import parse_samples
from .output import EXIT_HOLDS, EXIT_UNKNOWN, EXIT_VIOLATED

PLOT = "bits.png"


def quantize(args: argparse.Namespace) -> int:
    """Quantize, say what that did, and write the network."""
    if args.labels and not args.calibration:
        raise InputError("--labels: of no samples, expected --calibration FILE as well")
    if args.out and args.out.suffix != ".npz":
        raise InputError(f"--out: {args.out}, expected a file that ends in .npz")
    if args.out and args.out.exists() and not args.overwrite:
        raise InputError(f"--out: {args.out} exists already; expected a new name, or --overwrite")
    model = load_float(args.network, args.layers)
    samples = None if args.calibration is None else read_array(args.calibration, ("x", "inputs"), args.header) * args.unit
    labels = None if args.labels is None else load_labels(args.labels, header=args.header)
    made = quantize_with_report(model, args.format, samples, method=args.method, labels=labels)
    print(quantization_table(made.report))
    for remark in made.network.remarks:
        print(printable(remark))
    if made.report.accuracy is not None:
        print(accuracies(made.report))
    if args.out:
        save(made.network, args.out)
        print(f"network in {printable(str(args.out))}")
    return EXIT_HOLDS


def bits(args: argparse.Namespace) -> int:
    """The table of all widths, the answer, and what is written; 0 if a width reaches the target, 10 if all miss it, else 5."""
    if args.resume and not args.out:
        raise InputError("--resume: needs --out DIR, the folder of an earlier run")
    if args.certificates and not args.out:
        raise InputError("--certificates: needs --out DIR, the folder for them")
    model = load_float(args.network, args.layers)
    inputs = read_samples(args.inputs, args)
    calibration = None if args.calibration is None else read_samples(args.calibration, args)
    labels = None if args.labels is None else load_labels(args.labels, header=args.header)
    options = {row.name: getattr(args, row.name) for row in TABLE}

    def told(result: WidthResult) -> None:
        if not args.quiet:
            print(width_line(result), flush=True)

    found = sweep(
        model,
        inputs,
        labels,
        args.eps,
        target=args.target,
        widths=args.widths,
        fractions=args.fractions,
        format=args.format,
        samples=parse_samples(args.samples, len(inputs), args.inputs),
        calibration=calibration,
        method=args.method,
        out=args.out,
        resume=args.resume,
        overwrite=args.overwrite,
        told=told,
        **options,
    )
    print(f"\n{bits_table(found)}" if not args.quiet else bits_table(found))
    if found.float_accuracy is not None:
        print(f"the float model's accuracy is {found.float_accuracy:.4f}")
    print(found.answer)
    if args.out:
        print(f"results in {printable(str(args.out / SUMMARY))}")
        try:
            bits_plot(found, args.out / PLOT)
            print(f"plot in {printable(str(args.out / PLOT))}")
        except MissingExtraError as missing:
            print(f"qbitsat: no plot: {missing}", file=sys.stderr)
    if found.answer.smallest is not None:
        return EXIT_HOLDS
    return EXIT_UNKNOWN if found.answer.open else EXIT_VIOLATED


def read_samples(path: Path, args: argparse.Namespace) -> np.ndarray:
    """Integers as they are, or real values with --unit."""
    array = read_array(path, ("x", "inputs"), args.header)
    if args.unit is not None:
        return array * args.unit
    whole = np.rint(array) if array.dtype.kind == "f" else array
    if not np.array_equal(whole, array) or np.abs(whole).max(initial=0) >= 1 << 31:
        raise InputError(f"{path}: real values, expected whole numbers, or --unit NUMBER")
    return whole.astype(np.int64)
