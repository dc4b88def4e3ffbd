"""The points of a query's region as a grid: inputs that the violation ties together share an axis, inputs that it fixes have none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..limits import NO_LIMITS, Limits
from ..network import Network
from ..properties import And, AtMost, Formula, Query, Ref
from ..properties.formula import INPUT, atoms

# Conjuncts between two looks at the limits.
TICK = 256
# For each axis where it starts and stops.
Block = list[tuple[int, int]]


class Grid(NamedTuple):
    """The inputs at which all that the violation's conjuncts say of single inputs and of equal ones holds.

    sizes[a] is the length of axis a, 2 or more; input i of network k is base[k][i], plus the coordinate on axis[k][i] where that is not
    -1. Axes stand in the order of the first inputs that they move, so points in lexicographic order have inputs in lexicographic order.
    `constraint` is what else the conjuncts say of inputs alone, `rest` all that they say beside. No points at all: sizes is (0,).
    """

    sizes: tuple[int, ...]
    axis: tuple[np.ndarray, ...]
    base: tuple[np.ndarray, ...]
    constraint: And
    rest: And

    @property
    def num_points(self) -> int:
        return math.prod(self.sizes)

    def inputs(self, point: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """Of all networks at one point, its coordinates given."""
        places = np.append(np.asarray(point, np.int64), 0)  # axis -1 is this 0
        return tuple(tuple((base + places[axis]).tolist()) for axis, base in zip(self.axis, self.base, strict=True))


def grid(query: Query, formula: Formula, limits: Limits = NO_LIMITS) -> Grid:
    """The grid of a formula without `Not`."""
    start = np.cumsum([0, *(network.num_inputs for network in query.networks)]).tolist()
    lo, hi = ([v for box in query.boxes for v in getattr(box, end).tolist()] for end in ("lo", "hi"))
    parts = list(_conjuncts(formula))
    ties = _ties(parts, start, limits)
    equal = _Equal()
    constraint, rest = list[Formula](), list[Formula]()
    for number, part in enumerate(parts):
        if number % TICK == 0:
            limits.check()
        terms = [(start[ref.network] + ref.element, c) for ref, c in part.coefficients().items()] if isinstance(part, AtMost) else []
        if any(ref.tensor != INPUT for atom in atoms(part) for _, ref in atom.terms):
            rest.append(part)
        elif isinstance(part, AtMost) and len(terms) == 1:
            ((v, c),) = terms  # c v <= bound
            if c > 0:
                hi[v] = min(hi[v], part.bound // c)
            else:
                lo[v] = max(lo[v], -(part.bound // -c))
        elif (pair := _pair(terms)) and -ties[pair] == ties.get((pair[1], pair[0])):
            equal.join(*pair, ties[pair])
        else:
            constraint.append(part)
    if equal.contradicts:
        lo[0], hi[0] = 1, 0
    return _grid(query, equal, lo, hi, And(tuple(constraint)), And(tuple(rest)))


def _grid(query: Query, equal: _Equal, lo: list[int], hi: list[int], constraint: And, rest: And) -> Grid:
    roots = [equal.root(v) for v in range(len(lo))]  # v = root + offset
    for v, (root, offset) in enumerate(roots):
        lo[root], hi[root] = max(lo[root], lo[v] - offset), min(hi[root], hi[v] - offset)
    if any(hi[root] < lo[root] for root, _ in roots):
        return Grid((0,), tuple(b.lo * 0 - 1 for b in query.boxes), tuple(b.lo for b in query.boxes), constraint, rest)
    moving = [v for v, (root, _) in enumerate(roots) if root == v and lo[v] < hi[v]]
    number = {v: a for a, v in enumerate(moving)}
    axis = np.array([number.get(root, -1) for root, _ in roots], np.int64)
    base = np.array([lo[root] + offset for root, offset in roots], np.int64)
    ends = np.cumsum([network.num_inputs for network in query.networks])[:-1]
    return Grid(tuple(hi[v] - lo[v] + 1 for v in moving), tuple(np.split(axis, ends)), tuple(np.split(base, ends)), constraint, rest)


def _conjuncts(formula: Formula) -> Iterator[Formula]:
    if isinstance(formula, And):
        for part in formula.parts:
            yield from _conjuncts(part)
    else:
        yield formula


def _pair(terms: list[tuple[int, int]]) -> tuple[int, int] | None:
    """(a, b) if the terms are a - b."""
    if sorted(c for _, c in terms) != [-1, 1]:
        return None
    (a, c), (b, _) = terms
    return (a, b) if c == 1 else (b, a)


def _ties(parts: list[Formula], start: list[int], limits: Limits) -> dict[tuple[int, int], int]:
    """The least bound that conjuncts give of each difference of two inputs."""
    ties: dict[tuple[int, int], int] = {}
    for number, part in enumerate(parts):
        if number % TICK == 0:
            limits.check()
        if isinstance(part, AtMost) and all(ref.tensor == INPUT for _, ref in part.terms):
            pair = _pair([(start[ref.network] + ref.element, c) for ref, c in part.coefficients().items()])
            if pair is not None:
                ties[pair] = min(part.bound, ties.get(pair, part.bound))
    return ties


class _Equal:
    """Sets of inputs that differ by constants; each set's root is its first input."""

    def __init__(self) -> None:
        self.above: dict[int, tuple[int, int]] = {}
        self.contradicts = False

    def root(self, v: int) -> tuple[int, int]:
        """The root and what v is more than it."""
        path, offset = list[int](), 0
        while v in self.above:
            path.append(v)
            v = self.above[v][0]
        # From now on all of the path is right below the root: long chains of links cost no more than short ones.
        for below in reversed(path):
            offset += self.above[below][1]
            self.above[below] = v, offset
        return v, offset

    def join(self, a: int, b: int, difference: int) -> None:
        """a = b + difference."""
        (root_a, more_a), (root_b, more_b) = self.root(a), self.root(b)
        gap = more_b + difference - more_a  # root_a = root_b + gap
        if root_a == root_b:
            self.contradicts |= gap != 0
        elif root_a < root_b:
            self.above[root_b] = root_a, -gap
        else:
            self.above[root_a] = root_b, gap


def blocks(sizes: Sequence[int], most: int) -> Iterator[Block]:
    """The grid in blocks of at most `most` points, in lexicographic order, as are the points in each of them."""
    k, inner = len(sizes), 1
    while k and inner * sizes[k - 1] <= most:
        k -= 1
        inner *= sizes[k]
    whole = [(0, size) for size in sizes[k:]]
    if not k:
        yield whole
        return
    run = max(1, most // inner)
    for head in product(*map(range, sizes[: k - 1])):
        for first in range(0, sizes[k - 1], run):
            yield [*((h, h + 1) for h in head), (first, min(first + run, sizes[k - 1])), *whole]


def named_values(formula: Formula, k: int, network: Network) -> list[int]:
    """The values of network k that a formula names, inputs as such apart, ascending."""
    refs: set[Ref] = {ref for atom in atoms(formula) for _, ref in atom.terms}
    return sorted({ref.value_of(network) for ref in refs if ref.network == k and ref.tensor != INPUT})
