"""How often two networks differ on samples, counted and in lines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..network import Network, forward


class Observed(NamedTuple):
    """samples: how many; differing: those of which some output differs.

    classes: for each class of the first network how many samples have it, and to how many of them the second gives another; empty for
    networks of one output. outputs: for each output of how many samples it differs, and by how many steps at most.
    """

    samples: int
    differing: int
    classes: list[tuple[int, int]]
    outputs: list[tuple[int, int]]


def observed(a: Network, b: Network, inputs: np.ndarray) -> Observed:
    """inputs int64[n, *shape], on which both are run."""
    flat = inputs.reshape(len(inputs), -1)
    first, second = (forward(network, flat) for network in (a, b))
    apart = np.abs(first - second)
    classes = list[tuple[int, int]]()
    if first.shape[1] > 1:
        one, other = first.argmax(axis=1), second.argmax(axis=1)
        classes = [(int((one == c).sum()), int(((one == c) & (other != c)).sum())) for c in range(first.shape[1])]
    outputs = [(int((column > 0).sum()), int(column.max(initial=0))) for column in apart.T]
    return Observed(len(flat), int(apart.any(axis=1).sum()), classes, outputs)


def observed_lines(found: Observed, short: bool = False) -> list[str]:
    """The counts, one line a class and an output that differs; a summary comes last."""
    lines = list[str]()
    if not short:
        lines += [f"class {c}  another one for {other} of {count}" for c, (count, other) in enumerate(found.classes) if other]
        lines += [f"output {j}  differs for {count}, by {most} at most" for j, (count, most) in enumerate(found.outputs) if count]
    others = f", another class for {sum(other for _, other in found.classes)}" if found.classes else ""
    return [*lines, f"{found.samples} samples: some output differs for {found.differing}{others}"]
