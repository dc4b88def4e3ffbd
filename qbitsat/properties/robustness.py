"""Robustness of a classification, untargeted and targeted, of the whole input or of a region of it; in L-infinity, L1 or L0."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arithmetic import INT32, integer
from ..errors import ArgumentError, InputError, expect_kind, none_of
from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..network.layers import integer_array
from .balls import LINF, NORMS, distance, surrounding
from .formula import OUTPUT, And, AtMost, Formula, Or, Ref
from .query import Box, Origin, Query
from .region import distances, region_of

# What becomes of equal outputs: the first of them is the class; or the label, if it is one of them (TACAS 2020).
TIES = ARGMAX, KEPT = "argmax", "kept"
# What may be asked of one output.
THRESHOLD = (
    "ask about a threshold T instead: Query((network,), (box,), at_least(((1, Ref(0, 'output', 0)),), T)) holds if no output reaches T"
)


def beats(j: int, c: int, is_kept: bool = False) -> AtMost:
    """Output j is ranked before output c by argmax: y_j > y_c, or y_j = y_c and j < c, unless that is kept."""
    return AtMost(((1, Ref(0, OUTPUT, c)), (-1, Ref(0, OUTPUT, j))), 0 if j < c and not is_kept else -1)


def centre(network: Network, x: Any) -> np.ndarray:
    """An input of the network, flattened and checked: int64[size], read-only."""
    form = network.input
    try:
        x = integer_array(x, None, *INT32, "input").reshape(-1)
    except InputError as error:
        hint = "; network.input.quantize(x) makes them of real values" if ": dtype float" in str(error) else ""
        raise InputError(f"{error}{hint}") from error
    if x.shape != (form.size,):
        raise InputError(f"input: shape {x.shape}, expected {(form.size,)}")
    outside = np.flatnonzero((x < form.lo) | (x > form.hi))
    if outside.size:
        i = int(outside[0])
        raise InputError(f"input: element {i} is {x[i]}, expected a value in [{form.lo}, {form.hi}]")
    return x


def linf_box(network: Network, x: np.ndarray, eps: int, region: str | None = None) -> Box:
    """Inputs within eps integer steps of x, int64[size], inside the input format; of a region, see `region.distances`."""
    form = network.input
    most = form.hi - form.lo
    steps = np.minimum(distances(region, form.shape, min(eps, most)), most)
    return Box(np.maximum(x - steps, form.lo), np.minimum(x + steps, form.hi))


def count_classes(network: Network, instead: str = THRESHOLD) -> int:
    """Outputs of a network that classifies; with one, every input would have class 0, and every such question would hold. `instead` says
    what else may be asked.
    """
    if network.output.size == 1:
        reason = "has one output, so every input is of class 0 and there is nothing to ask about classes"
        raise InputError(f"network {network.name!r}: {reason}; {instead}")
    return network.output.size


def others(c: int, classes: int, limits: Limits) -> Iterator[int]:
    """Every class but c."""
    for j in range(classes):
        limits.check()
        if j != c:
            yield j


def class_of(value: Any, what: str, classes: int) -> int:
    """The class as a Python int."""
    try:
        return integer(value, what, 0, classes - 1)
    except InputError as error:
        raise ArgumentError(what, f"{value!r}, expected a class in [0, {classes - 1}], an integer") from error


def rule_of(ties: Any) -> str:
    """One of TIES."""
    if not isinstance(ties, str) or ties not in TIES:
        raise ArgumentError("ties", none_of(ties, TIES))
    return ties


def norm_of(norm: Any) -> str:
    """One of NORMS."""
    if not isinstance(norm, str) or norm not in NORMS:
        raise ArgumentError("norm", none_of(norm, NORMS))
    return norm


def movable(region: str | None, network: Network) -> list[int] | None:
    """The elements that a region names, None for all; distances of their own are those of L-infinity alone."""
    if region is None:
        return None
    if (distances(region, network.input.shape, 1) != distances(region, network.input.shape, 2) // 2).any():
        raise ArgumentError("region", f"{region[:60]!r}, expected parts without distances of their own")
    elements = np.flatnonzero(distances(region, network.input.shape, 1)).tolist()
    if not elements:
        raise ArgumentError("region", f"{region[:60]!r} lets nothing move, expected one element at least")
    return elements


def robustness(
    network: Network,
    x: Any,
    eps: Any,
    label: int,
    target: int | None = None,
    *,
    ties: str = ARGMAX,
    region: str | None = None,
    norm: str = LINF,
    sample: int | None = None,
    limits: Limits = NO_LIMITS,
) -> Query:
    """Is every input within eps (integer input steps, L-infinity) of x classified as `label`?

    norm "l1" is the sum of all changes instead, "l0" how many elements change; then the query is about values of a wider network, and a
    region says only which elements may change.

    x is an integer array of the input's shape or flattened. region, as in "[3:6, 10:13] [:, :, 0]=2", says which elements may move,
    and by how much if not by eps; or eps is an integer array of x's shape, the distance of each element. With `target` the question
    is the weaker one: is no such input classified as `target`? Classes are first maxima, so ties go to the lower index; with ties="kept"
    they go to the label, if its output is one of the largest. `sample` says which one of a data set x is, for reports. Where the network
    misses the label, or the target is the label, `verify` says so. The query is built within `limits`.
    """
    expect_kind(network, Network, "robustness: network", "a Network, as of load(path)")
    classes, (eps, region) = count_classes(network), region_of(eps, network.input, region)
    label = class_of(label, "label", classes)
    target = None if target is None else class_of(target, "target", classes)
    sample = None if sample is None else integer(sample, "sample", 0)
    x, is_kept = centre(network, x), rule_of(ties) == KEPT
    violation: Formula
    if target is None:
        violation = Or(tuple(beats(j, label, is_kept) for j in others(label, classes, limits)))
    else:
        violation = And(tuple(beats(target, j, is_kept and j == label) for j in others(target, classes, limits)))
    given: dict[str, Any] = {"norm": None if norm_of(norm) == LINF else norm, "eps": eps, "region": region, "label": label}
    given |= {"target": target, "ties": KEPT if is_kept else None, "sample": sample}
    origin = Origin("robustness", tuple((name, value) for name, value in given.items() if value is not None), x)
    if norm == LINF:
        return Query.asked(origin, (network,), (linf_box(network, x, eps, region),), violation, limits)
    elements = movable(region, network)
    around = distance(network, x, norm, elements)
    box = surrounding(network, x, norm, eps, elements)
    return Query.asked(origin, (around.network,), (box,), And((violation, around.at_most(eps))), limits)
