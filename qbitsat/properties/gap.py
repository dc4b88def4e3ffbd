"""How far apart can the outputs for two inputs be that differ in protected features alone?

Giacobbe, Henzinger and Lechner (TACAS 2020), Eq. 11. Both copies of the network become one, and read the same features but for the
protected ones. A group of features of which exactly one is set becomes one input, its number in the group: no inequality has to say that
the others are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arithmetic import ShiftRequantizer, integer
from ..errors import InputError, expect_kind
from ..network import Layer, Linear, Network, SparseRows, TensorFormat
from .formula import INPUT, OUTPUT, TRUE, And, AtMost, Formula, Or, Ref, at_least
from .made import Made
from .query import Box, Query
from .replay import Inputs

# Which copies have a feature: both, or one of them.
WHICH: tuple[tuple[int, ...], ...] = ((0, 1), (0,), (1,))
Terms = tuple[tuple[int, Ref], ...]


class Pairs(NamedTuple):
    """How a network was made: two copies of one on inputs of a box that are the same but for protected elements; see `gap` for groups."""

    protected: frozenset[int]
    groups: tuple[tuple[int, ...], ...]
    box: Box

    def inputs(self, found: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The two inputs that an input of the network that was made stands for."""
        copies = self.box.lo.copy(), self.box.lo.copy()
        numbers = iter(found)
        for which in WHICH:
            for unit in _units(len(self.box.lo), self.groups, self.protected, which):
                number = next(numbers)
                for copy in which:
                    if len(unit) > 1:
                        copies[copy][unit[number]] = self.box.hi[unit[number]]
                    else:
                        copies[copy][unit[0]] = number
        return tuple(copies[0].tolist()), tuple(copies[1].tolist())


class Gap(NamedTuple):
    """What to ask `maximize`: query and objective. `inputs` makes the inputs of both copies from the query's."""

    query: Query
    objective: Terms
    pairs: Pairs

    def inputs(self, found: Inputs) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The two inputs of the network that an input of the query's network stands for."""
        return self.pairs.inputs(found[0])


def gap(
    network: Network, protected: Sequence[int], output: int = 0, *, groups: Sequence[Sequence[int]] = (), box: Box | None = None
) -> Gap:
    """The largest output(x) - output(x') over all x and x' of a box that are the same but for protected features.

    protected and groups hold numbers of input elements; a group with a protected element is protected. Of each group exactly one element is
    at the upper end of its range in the box, and the others are at the lower end. box is the whole domain by default. The two inputs may
    change places, so this is the largest difference either way.
    """
    both, ends = paired(network, protected, groups=groups, box=box)
    output, count = integer(output, "gap: output", 0, len(network.outputs) - 1), len(network.outputs)
    objective = ((1, Ref(0, OUTPUT, output)), (-1, Ref(0, OUTPUT, count + output)))
    return Gap(Query((both,), (ends,), TRUE), objective, both.how)


def apart(
    network: Network, protected: Sequence[int], *, groups: Sequence[Sequence[int]] = (), box: Box | None = None
) -> tuple[Query, Sequence[Terms]]:
    """The same question as `gap` about two networks, each on an input of its own, as a file can say it; an objective for each output.

    The formula is an assumption: what the inputs share is the same, and of each group exactly one element is at its upper end.
    """
    how = paired(network, protected, groups=groups, box=box)[0].how
    units = [_units(len(how.box.lo), how.groups, how.protected, which) for which in WHICH]
    parts: list[Formula] = []
    for i in (element for unit in units[0] for element in unit):
        same = ((1, Ref(0, INPUT, i)), (-1, Ref(1, INPUT, i)))
        parts += [AtMost(same, 0), at_least(same, 0)]
    parts += [
        part for which, found in zip(WHICH, units, strict=True) for unit in found for copy in which for part in _one_of(copy, unit, how.box)
    ]
    objectives = [((1, Ref(0, OUTPUT, j)), (-1, Ref(1, OUTPUT, j))) for j in range(len(network.outputs))]
    return Query((network, network), (how.box, how.box), And(tuple(parts))), objectives


def _one_of(copy: int, unit: tuple[int, ...], box: Box) -> list[Formula]:
    """Of a group in a copy one element is at its upper end, and the others at the lower; of one element nothing is said.

    One that has one value only may be that element: then of the others it is one or none.
    """
    if len(unit) == 1:
        return []
    ends = [(int(box.lo[i]), int(box.hi[i]), ((1, Ref(copy, INPUT, i)),)) for i in unit]
    parts: list[Formula] = [Or((AtMost(one, lo), at_least(one, hi))) for lo, hi, one in ends if lo < hi]
    most = math.lcm(*(hi - lo for lo, hi, _ in ends if lo < hi))
    total = tuple((most // (hi - lo), one[0][1]) for lo, hi, one in ends if lo < hi)
    bound = most + sum(most // (hi - lo) * lo for lo, hi, _ in ends if lo < hi)
    parts += [AtMost(total, bound)] if total else []
    return [*parts, at_least(total, bound)] if len(total) == len(unit) else parts


def paired(network: Network, protected: Sequence[int], *, groups: Sequence[Sequence[int]] = (), box: Box | None = None) -> tuple[Made, Box]:
    """Two copies of a network as one, and the box of its inputs, all as of `gap`; outputs are those of the first, then of the second."""
    expect_kind(network, Network, "gap: network", "a Network, as of load(path)")
    n = network.num_inputs
    box = Box(*(ends[:n] for ends in network.value_ranges)) if box is None else box
    Query((network,), (box,), TRUE)
    parts = tuple(tuple(integer(i, "gap: an element of a group", 0, n - 1) for i in group) for group in groups)
    members = [i for part in parts for i in part]
    if len(set(members)) < len(members) or any(len(part) < 2 for part in parts):
        raise InputError("gap: groups, expected two elements or more in each and none in two")
    chosen = {integer(i, "gap: a protected feature", 0, n - 1) for i in protected}
    if not chosen:
        raise InputError("gap: no feature is protected, expected one at least")
    chosen |= {i for part in parts if chosen & {*part} for i in part}
    return _Copies(network, Pairs(frozenset(chosen), parts, box)).joined()


def domain_of(rows: np.ndarray, place: str) -> Box:
    """The box of two rows, int64[2, n]: the smallest and the largest value of each feature. place begins what is said of a wrong one."""
    lo, hi = rows
    if (lo > hi).any():
        k = int(np.argmax(lo > hi))
        raise InputError(f"{place}: feature {k} is from {lo[k]} to {hi[k]}, expected the smallest value first")
    return Box(lo, hi)


def _units(n: int, groups: Sequence[tuple[int, ...]], protected: frozenset[int], which: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Groups, and features in none as groups of one: those that both copies share, or the protected ones."""
    grouped = {i for part in groups for i in part}
    units = [*groups, *((i,) for i in range(n) if i not in grouped)]
    return [unit for unit in units if (unit[0] in protected) == (len(which) == 1)]


class _Copies:
    """Two copies of a network: inputs, what groups stand for, and the layers of both."""

    def __init__(self, network: Network, how: Pairs):
        self.of, self.how = network, how
        self.protected, self.groups, self.box = how
        self.forms, self.ends = list[TensorFormat](), list[tuple[int, int]]()
        # For each copy the value that is a feature: numbers of inputs, or (group, element) until it has one.
        self.place: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.layers, self.reads = list[Layer](), list[np.ndarray]()

    def joined(self) -> tuple[Made, Box]:
        waiting = list[tuple[int, tuple[int, ...], tuple[int, ...]]]()
        for which in WHICH:
            for unit in _units(self.of.num_inputs, self.groups, self.protected, which):
                number = len(self.ends)
                if len(unit) > 1:
                    waiting.append((number, unit, which))
                    self.ends.append((0, len(unit) - 1))
                else:
                    self.ends.append((int(self.box.lo[unit[0]]), int(self.box.hi[unit[0]])))
                    for copy in which:
                        self.place[copy][unit[0]] = number
        lo, hi = np.array(self.ends, np.int64).T
        self.next = len(self.ends)
        for number, unit, which in waiting:
            values = self._group(number, unit)
            for copy in which:
                self.place[copy].update(zip(unit, values, strict=True))
        outputs = [self._copy(copy) for copy in (0, 1)]
        forms = tuple(TensorFormat((1,), a, b) for a, b in self.ends)
        own: dict[str, Any] = {"inputs": forms, "reads": tuple(self.reads), "outputs": np.concatenate(outputs)}
        return Made(tuple(self.layers), self.of.name, of=self.of, how=self.how, **own), Box(lo, hi)

    def _group(self, number: int, unit: tuple[int, ...]) -> list[int]:
        """The features of a group as values: [number >= k], and then differences of two of them."""
        n, lo, hi = len(unit), self.box.lo[list(unit)], self.box.hi[list(unit)]
        steps = tuple(ShiftRequantizer(0, "floor", 0, 1, "saturate", 1 - k) for k in range(1, n))
        ones = SparseRows(1, np.arange(n), np.zeros(n - 1, np.int64), np.ones(n - 1, np.int64), np.zeros(n - 1, np.int64))
        self._append(Linear("number in a group", TensorFormat((1,), 0, n - 1), TensorFormat((n - 1,), 0, 1), steps, ones), [number])
        first = self.next - (n - 1)
        # Row i is (hi - lo)_i times the step i less the step i + 1.
        columns, weights = np.add.outer(np.arange(n), [-1, 0]), np.multiply.outer(hi - lo, [1, -1])
        there = (columns >= 0) & (columns < n - 1) & (weights != 0)
        starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
        bias = lo + np.where(np.arange(n) == 0, hi - lo, 0)
        least, most = int(lo.min()), int(hi.max())
        kept = (ShiftRequantizer(0, "floor", least, most, "saturate", 0),)
        form = TensorFormat((n,), least, most)
        one = Linear("one of a group", self.layers[-1].output, form, kept, SparseRows(n - 1, starts, columns[there], weights[there], bias))
        self._append(one, range(first, first + n - 1))
        return list(range(self.next - n, self.next))

    def _append(self, layer: Layer, reads: Any) -> None:
        self.layers.append(layer)
        self.reads.append(np.array(reads, np.int32))
        self.next += layer.output.size

    def _copy(self, copy: int) -> np.ndarray:
        """The network's layers on the features of a copy; its results."""
        n, start = self.of.num_inputs, self.next
        place = np.array([self.place[copy][i] for i in range(n)], np.int64)
        for layer, values in zip(self.of.layers, self.of.reads, strict=True):
            self._append(layer, np.where(values < n, place[np.minimum(values, n - 1)], values - n + start))
        return np.where(self.of.outputs < n, place[np.minimum(self.of.outputs, n - 1)], self.of.outputs - n + start)
