"""HOLDS because every point of the region was run: all of them are run again, layer by layer, in numpy's integers.

Only inputs at which the violation can be true need to be run. What its conjuncts say of a single input cuts that input's range, and
an input that they tie to another one (a - b <= d and b - a <= -d) moves with it. The violation itself, whole, is evaluated at every
point that is left.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..limits import Limits
from ..network import Network
from ..properties import And, AtMost, Formula, Not, Query
from ..properties.formula import INPUT, OUTPUT
from .inference import Inference
from .reading import Refused

# More points would take weeks.
MOST_POINTS = 1 << 40
# Multiply-adds, and numbers, of the points that are run together.
BATCH_WORK, BATCH_NUMBERS = 1 << 26, 1 << 21

# An input: its network and its place.
Input = tuple[int, int]


def check_enumeration(query: Query, limits: Limits) -> None:
    """Run every point; `Refused` if the violation is true of one."""
    runs = [Inference(network, limits) for network in query.networks]
    region = _Region(query)
    if region.num_points > MOST_POINTS:
        raise Refused(f"the region has {region.num_points} points to be run, expected at most {MOST_POINTS}")
    work = sum(layer.affine.num_products for network in query.networks for layer in network.layers)
    numbers = sum(network.num_values + max(layer.affine.n_in for layer in network.layers) for network in query.networks)
    step = max(1, min(BATCH_WORK // max(1, work), BATCH_NUMBERS // numbers))
    for first in range(0, region.num_points, step):
        limits.check()
        points = np.arange(first, min(first + step, region.num_points))
        inputs = [region.inputs(k, points) for k in range(len(query.networks))]
        values = [run.values(x) for run, x in zip(runs, inputs, strict=True)]
        true = np.flatnonzero(_truth(query.violation, query.networks, values, limits))
        if len(true):
            raise Refused(f"the violation is true at inputs {[x[true[0]].tolist() for x in inputs]}")


# --- the points ---


class _Region:
    """Points are numbered from 0; each free input is a digit of that number, the first one the highest."""

    def __init__(self, query: Query):
        self.lo = {(k, i): v for k, box in enumerate(query.boxes) for i, v in enumerate(box.lo.tolist())}
        hi = {(k, i): v for k, box in enumerate(query.boxes) for i, v in enumerate(box.hi.tolist())}
        differences: dict[tuple[Input, Input], int] = {}
        for terms, bound in _conjuncts(query.violation, True):
            if len(terms) == 1:
                ((v, c),) = terms.items()
                if c > 0:  # v <= bound / c, rounded down
                    hi[v] = min(hi[v], bound // c)
                else:  # v >= bound / c, rounded up
                    self.lo[v] = max(self.lo[v], -(bound // -c))
            elif sorted(terms.values()) == [-1, 1]:
                a, b = sorted(terms, key=lambda v: -terms[v])  # a - b <= bound
                differences[a, b] = min(bound, differences.get((a, b), bound))
        tied: dict[Input, list[tuple[Input, int]]] = {}
        for (a, b), d in differences.items():
            if differences.get((b, a)) == -d:  # a = b + d
                tied.setdefault(b, []).append((a, d))
        # Every input is a free one, its leader, and an offset.
        self.leader: dict[Input, tuple[Input, int]] = {}
        for free in sorted(self.lo):
            if free in self.leader:
                continue
            self.leader[free], reached = (free, 0), [free]
            for b in reached:
                for a, d in tied.get(b, []):
                    if a not in self.leader:
                        self.leader[a] = free, self.leader[b][1] + d
                        reached.append(a)
        for v, (free, offset) in self.leader.items():
            self.lo[free], hi[free] = max(self.lo[free], self.lo[v] - offset), min(hi[free], hi[v] - offset)
        self.sizes = {v: max(0, hi[v] - self.lo[v] + 1) for v, (free, _) in self.leader.items() if v == free}
        self.num_points = math.prod(self.sizes.values())
        self.networks = query.networks

    def inputs(self, k: int, points: np.ndarray) -> np.ndarray:
        """The inputs of network k at some points: int64[points, n_in]."""
        values, rest = dict[Input, np.ndarray](), points
        for free in sorted(self.sizes, reverse=True):
            rest, digit = (rest, 0) if self.sizes[free] == 1 else np.divmod(rest, self.sizes[free])
            values[free] = self.lo[free] + digit
        x = np.empty((len(points), self.networks[k].num_inputs), np.int64)
        for i in range(x.shape[1]):
            free, offset = self.leader[k, i]
            x[:, i] = values[free] + offset
        return x


def _conjuncts(formula: Formula, positive: bool) -> Iterator[tuple[dict[Input, int], int]]:
    """What is said of inputs alone by inequalities that hold wherever the formula (or its negation) does: sum of c * input <= bound."""
    if isinstance(formula, Not):
        yield from _conjuncts(formula.part, not positive)
    elif isinstance(formula, AtMost):
        if all(ref.tensor == INPUT for _, ref in formula.terms):
            terms: dict[Input, int] = {}
            for coefficient, ref in formula.terms:
                v = ref.network, ref.element
                terms[v] = terms.get(v, 0) + (coefficient if positive else -coefficient)
            # not (sum <= bound) is -sum <= -bound - 1
            yield {v: c for v, c in terms.items() if c}, formula.bound if positive else -formula.bound - 1
    elif isinstance(formula, And) == positive:
        for part in formula.parts:
            yield from _conjuncts(part, positive)


# --- the violation ---


def _truth(formula: Formula, networks: Sequence[Network], values: Sequence[np.ndarray], limits: Limits) -> np.ndarray:
    """Whether the formula is true: bool[points]. No inequality leaves int64: the query has checked that."""
    if isinstance(formula, AtMost):
        total = np.zeros(len(values[0]), np.int64)
        for number, (coefficient, ref) in enumerate(formula.terms):
            if number % 16 == 0:
                limits.check()
            place = int(networks[ref.network].outputs[ref.element]) if ref.tensor == OUTPUT else ref.element
            total += coefficient * values[ref.network][:, place]
        return total <= formula.bound
    if isinstance(formula, Not):
        return ~_truth(formula.part, networks, values, limits)
    truth = np.full(len(values[0]), isinstance(formula, And))
    for part in formula.parts:
        more = _truth(part, networks, values, limits)
        truth = truth & more if isinstance(formula, And) else truth | more
    return truth
