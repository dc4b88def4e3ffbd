"""The shipped example, start to end."""

from __future__ import annotations

import argparse
import shlex
from typing import Any

import numpy as np

from .. import examples
from ..campaign import Verifier, plan
from ..importers import load, load_inputs, load_labels
from ..report import describe, side_by_side
from .commands import decide
from .output import EXIT_HOLDS, EXIT_VIOLATED, Printer

# Chosen so that every stage decides some of them, one is misclassified, and all together take a second or two.
SAMPLES, EPS = (0, 1, 2, 8, 11, 12, 26, 29, 40), 1


def demo(args: argparse.Namespace) -> int:
    """Show the network, verify some of its images, and draw the first counterexample; violations are part of the show."""
    network = load(examples.network_path())
    images, labels = load_inputs(examples.images_path(), network.input), load_labels(examples.labels_path())
    print(f"{describe(network)}\n")
    print(f"Does the network keep its class if every pixel may change by {EPS} of {network.input.hi}?\n")
    tasks = plan(network, images, labels, SAMPLES, [EPS])
    results: list[dict[str, Any]] = []
    code = decide(Verifier(network, {}), tasks, Printer(network, tasks), write=results.append)
    violated = min((entry for entry in results if entry["witness"]), key=lambda entry: entry["sample"], default=None)
    if violated:
        sample, before, after = violated["sample"], violated["label"], violated["witness_class"]
        titles = f"sample {sample}: class {before}", f"counterexample: class {after}"
        print(f"\n{side_by_side(network.input, images[sample], np.array(violated['witness']), titles)}")
        paths = [str(path()) for path in (examples.network_path, examples.images_path, examples.labels_path)]
        command = "qbitsat verify {} --inputs {} --labels {} --samples {} --eps {} --verbose"
        print("\nThe same by hand:\n  " + command.format(*map(shlex.quote, paths), sample, EPS))
    return EXIT_HOLDS if code == EXIT_VIOLATED else code
