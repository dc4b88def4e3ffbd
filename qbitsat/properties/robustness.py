"""L-infinity robustness of a classification, untargeted and targeted."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..network import Network
from ..network.layers import integer_array
from .formula import OUTPUT, And, AtMost, Formula, Or, Ref
from .query import Box, Origin, Query


def beats(j: int, c: int) -> AtMost:
    """Output j is ranked before output c by argmax: y_j > y_c, or y_j = y_c and j < c."""
    return AtMost(((1, Ref(0, OUTPUT, c)), (-1, Ref(0, OUTPUT, j))), 0 if j < c else -1)


def linf_box(network: Network, x, eps: int) -> Box:
    """Inputs within eps integer steps of x, inside the input format."""
    if not isinstance(eps, int | np.integer) or eps < 0:
        raise InputError(f"eps: {eps!r}, expected a whole number of input steps, 0 or more")
    form = network.input
    x = integer_array(x, None, 1 << 31, "input").reshape(-1)
    if x.shape != (form.size,):
        raise InputError(f"input: shape {x.shape}, expected {(form.size,)}")
    outside = np.flatnonzero((x < form.lo) | (x > form.hi))
    if outside.size:
        i = int(outside[0])
        raise InputError(f"input: element {i} is {x[i]}, expected a value in [{form.lo}, {form.hi}]")
    eps = min(int(eps), form.hi - form.lo)
    return Box(np.maximum(x - eps, form.lo), np.minimum(x + eps, form.hi))


def robustness(network: Network, x, eps: int, label: int, target: int | None = None, *, sample: int | None = None) -> Query:
    """Is every input within eps (integer input steps, L-infinity) of x classified as `label`?

    x is an integer array of the input's shape or flattened. With `target` the question is the weaker one: is no such
    input classified as `target`? Classes are first maxima, so ties go to the lower index. `sample` says which one of a
    data set x is, for reports. Where the network misses the label, or the target is the label, `verify` says so.
    """
    classes = network.output.size
    for name, value in (("label", label), ("target", target)):
        if value is not None and not (isinstance(value, int | np.integer) and 0 <= value < classes):
            raise InputError(f"{name}: {value!s}, expected a class in [0, {classes - 1}]")
    label, target = int(label), None if target is None else int(target)
    box = linf_box(network, x, eps)
    violation: Formula
    if target is None:
        violation = Or(tuple(beats(j, label) for j in range(classes) if j != label))
    else:
        violation = And(tuple(beats(target, j) for j in range(classes) if j != target))
    given = (("eps", int(eps)), ("label", label), ("target", target), ("sample", None if sample is None else int(sample)))
    centre = integer_array(x, None, 1 << 31, "input").reshape(-1)
    origin = Origin("robustness", tuple((name, value) for name, value in given if value is not None), centre)
    return Query.asked(origin, (network,), (box,), violation)
