"""run: what the network computes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError
from ..importers.files import replacing
from ..network import forward
from .arguments import parse_samples
from .commands import noted_network, read_samples
from .output import EXIT_HOLDS

# Samples at a time, and up to how many outputs stand in a line.
BATCH, MOST_OUTPUTS = 1000, 16


class Run(NamedTuple):
    """samples, classes and labels, int64[n], and outputs, int64[n, outputs]; labels are None where none were given."""

    samples: np.ndarray
    outputs: np.ndarray
    classes: np.ndarray
    labels: np.ndarray | None


def run(args: argparse.Namespace) -> int:
    """Print and write outputs and classes; the exit code does not depend on the accuracy."""
    if args.out and args.out.suffix not in WRITERS:
        raise InputError(f"--out: {args.out}, expected a file that ends in {', '.join(WRITERS)}")
    if args.out and args.out.exists() and not args.overwrite:
        raise InputError(f"--out: {args.out} exists already; expected a new name, or --overwrite")
    network = noted_network(args)
    inputs, labels = read_samples(args, network)
    samples = np.array(parse_samples(args.samples, len(inputs), args.inputs), np.int64)
    mine = None if labels is None else labels[samples]
    if mine is not None and (mine >= network.output.size).any():
        k = int((mine >= network.output.size).argmax())
        raise InputError(f"{args.labels}: sample {samples[k]} has label {mine[k]}, expected a class in [0, {network.output.size - 1}]")
    outputs = np.concatenate([forward(network, inputs[samples[k : k + BATCH]]) for k in range(0, len(samples), BATCH)])
    found = Run(samples, outputs, outputs.argmax(axis=1), mine)
    if args.out:
        with replacing(args.out, sync=False) as stream:
            WRITERS[args.out.suffix](found, stream)
    if not args.quiet:
        print_lines(found)
    print(summary(found), flush=True)
    if args.out:
        print(f"outputs in {args.out}")
    elif not args.quiet and outputs.shape[1] > MOST_OUTPUTS:
        print(f"{outputs.shape[1]} outputs a sample are not shown; --out FILE writes them")
    return EXIT_HOLDS


def print_lines(found: Run) -> None:
    """One line a sample: its class, its label, and the outputs unless they are many."""
    width, last = len(str(found.samples.max())), len(str(found.outputs.shape[1] - 1))
    for k, (sample, network_class) in enumerate(zip(found.samples.tolist(), found.classes.tolist(), strict=True)):
        line = f"sample {sample:<{width}}  class {network_class:<{last}}"
        if found.labels is not None:
            label = int(found.labels[k])
            line += f"  label {label:<{last}}  {'right' if label == network_class else 'wrong'}"
        if found.outputs.shape[1] <= MOST_OUTPUTS:
            line += f"  outputs {found.outputs[k].tolist()}"
        print(line)


def summary(found: Run) -> str:
    """How many samples, and how many of them the network gets right."""
    total = len(found.samples)
    text = f"{total} {'sample' if total == 1 else 'samples'}"
    if found.labels is None:
        return text
    right = int((found.classes == found.labels).sum())
    return f"{text}: accuracy {right / total:.4f}, {right} right, {total - right} wrong"


def write_npy(found: Run, stream: BinaryIO) -> None:
    np.save(stream, found.outputs, allow_pickle=False)


def write_npz(found: Run, stream: BinaryIO) -> None:
    arrays = {name: array for name, array in found._asdict().items() if array is not None}
    np.savez_compressed(stream, **arrays)


def write_csv(found: Run, stream: BinaryIO) -> None:
    columns = {"sample": found.samples, "class": found.classes, "label": found.labels}
    columns |= {f"output{i}": found.outputs[:, i] for i in range(found.outputs.shape[1])}
    given = {name: column for name, column in columns.items() if column is not None}
    np.savetxt(stream, np.stack(list(given.values()), axis=1), "%d", ",", header=",".join(given), comments="")


WRITERS: dict[str, Callable[[Run, BinaryIO], None]] = {".npy": write_npy, ".npz": write_npz, ".csv": write_csv}
