"""What is left of a query once bounds say what cannot move: smaller networks, and the way back to the whole ones.

A neuron stays if its output is not constant and something that stays needs it, or the formula does; and where weights are shared (see
`network.part`), its neighbours. What it reads and is constant goes into biases, or becomes an input that has one value only.

Multipliers of the smaller query prove the same of the whole one, with 0 for every neuron that is gone: D (see `dual`) is the same number.
A constant cell adds m w y to it, as the part of a bias or of an input, or as what the multiplier puts on an output that is y.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from itertools import chain, pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from ..arithmetic import Requantizer
from ..limits import NO_LIMITS, Limits
from ..network import Layer, Linear, Network, Patches, TensorFormat
from ..network.layers import PADDING
from ..network.part import Part, part_of, work_of
from ..properties import And, AtMost, Box, Formula, Query, Ref, Witness, confirm
from ..properties.formula import FALSE, INPUT, OUTPUT, TRUE, atoms, renamed
from ..properties.replay import Inputs
from .decide import simplify
from .differences import paired
from .intervals import propagate_paired
from .joining import parted
from .layout import Block, Layout
from .ranges import Ranges

# A smaller query takes at most this share of the work of the whole one; more would not pay for making it.
WORTH = 0.9


class Places(NamedTuple):
    """Where values and neurons of the smaller query are in the whole one: int64 each."""

    values: np.ndarray
    neurons: np.ndarray


@dataclass(frozen=True, eq=False)
class Reduction:
    """query, its bounds (one row) and the formula that they leave open are what stages work on.

    whole is the query that these stand for, None if it is this one. `places` are those of the smaller query's values in it, and `refs`
    says what the formula's elements are there. pairs are those layers of the query that was asked whose differences are more layers here;
    asked is that query if it is about several networks, which are one here. near, int64[num_inputs] each, are points of the smaller
    query where an attack ended.
    """

    query: Query
    bounds: Ranges
    formula: Formula
    whole: Reduction | None = None
    places: Places | None = None
    refs: dict[Ref, Ref] = field(default_factory=dict, repr=False)
    pairs: tuple[tuple[int, int], ...] = ()
    asked: Query | None = None
    near: tuple[np.ndarray, ...] = field(default=(), repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process, with the layout of the bounds."""
        return _reduction_of, (self.bounds.layout.pairs, {part.name: getattr(self, part.name) for part in fields(self)})

    def expand(self, inputs: Inputs) -> Inputs:
        """Inputs of the query that was asked: those that nothing depends on are as small as they may be."""
        if self.whole is not None and self.places is not None:
            inputs = _moved(inputs, self.whole.query.boxes, *self._inputs[::-1])
        return self.apart(inputs)

    def apart(self, inputs: Inputs) -> Inputs:
        """Inputs of the networks that were asked about, from those of the whole query's."""
        return inputs if self.asked is None else parted(inputs, self.asked.boxes)

    def restrict(self, inputs: Inputs) -> Inputs:
        """Inputs of the smaller query from those of the whole one."""
        if self.whole is None or self.places is None:
            return inputs
        return _moved(inputs, self.query.boxes, *self._inputs)

    @property
    def _inputs(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, of all networks, that are inputs of the whole query's networks as well, there and here."""
        assert self.whole is not None
        assert self.places is not None
        values = self.places.values[: self.bounds.layout.num_inputs]
        here = np.flatnonzero(values < self.whole.bounds.layout.num_inputs)
        return values[here], here

    @property
    def keeps_inputs(self) -> bool:
        """Whether all inputs that can move are still there."""
        return self.whole is None or sum(map(_moving, self.query.boxes)) == sum(map(_moving, self.whole.query.boxes))

    def confirm(self, inputs: Inputs, stage: str, counts: dict, limits: Limits = NO_LIMITS) -> Witness | None:
        """`properties.confirm` in the query that was asked."""
        return confirm(self.asked or (self.whole or self).query, self.expand(inputs), stage, counts, limits)

    def widened(self, atom: AtMost) -> AtMost:
        """An inequality of the formula as the whole query has it."""
        return AtMost(tuple([(c, self.refs.get(ref, ref)) for c, ref in atom.terms]), atom.bound)

    def spread(self, ranges: Ranges, row: int, limits: Limits) -> Ranges | None:
        """The ranges of the whole query for one node of the smaller one; None if they leave nothing.

        They are those of as many passes as change something: what one leaves depends, with pairs and with steps that pass over outputs, on
        what was looked at before.
        """
        whole = self.whole or self
        found, layout = whole.bounds.take(np.zeros(1, np.int64)), whole.bounds.layout.under(limits)
        values, neurons = (slice(None), slice(None)) if self.places is None else self.places
        for ends, part, places in zip(found.arrays, ranges.arrays, (values, values, neurons, neurons), strict=True):
            ends[0, places] = part[row]
        return found if found.rest(layout) else None


def _reduction_of(pairs: np.ndarray, parts: dict[str, Any]) -> Reduction:
    query, bounds = cast(Query, parts["query"]), cast(Ranges, parts["bounds"])
    return Reduction(**{**parts, "bounds": Ranges(*bounds.arrays, Layout(query.networks).linked(pairs))})


def _moved(inputs: Inputs, boxes: tuple[Box, ...], source: np.ndarray, target: np.ndarray) -> Inputs:
    """The smallest inputs of boxes, but at `target` what other inputs are at `source`, numbered over all networks."""
    x = np.concatenate([box.lo for box in boxes])
    x[target] = np.concatenate([np.array(part, np.int64) for part in inputs])[source]
    ends = np.cumsum([len(box.lo) for box in boxes])[:-1]
    return tuple(tuple(part.tolist()) for part in np.split(x, ends))


def _moving(box: Box) -> int:
    """How many inputs can move."""
    return int((box.lo < box.hi).sum())


def reduced(query: Query, bounds: Ranges, formula: Formula, limits: Limits = NO_LIMITS) -> Reduction:
    """The smaller query, or the same one if that would not pay.

    bounds are ranges of interval propagation, one row; formula has no `Not`.
    """
    whole = Reduction(query, bounds, formula)
    return _Reducer(whole, limits).run() or whole


def differenced(left: Reduction, limits: Limits = NO_LIMITS, goal: Query | None = None) -> Reduction:
    """What is left of the same query with the differences of its paired layers; the same if it has none.

    goal is that query where its formula is a conjunction of an assumption and a goal, and what is left of it must be one, too.
    """
    asked = goal or (left.whole or left).query
    found = paired(asked, limits)
    if found is None:
        return left
    more: dict[str, Any] = {"pairs": found.pairs, "asked": asked if len(asked.networks) > 1 else None}
    bounds = propagate_paired(found, limits)
    formula = simplify(found.query, bounds, limits) if goal is None else _with_goal(found.query, bounds, limits)
    if formula in (TRUE, FALSE):
        return Reduction(found.query, bounds, formula, **more)
    paired_left = reduced(found.query, bounds, formula, limits)
    points = (paired_left.restrict(left.expand(parted((tuple(x.tolist()),), left.query.boxes))) for x in left.near)
    return replace(paired_left, **more, near=tuple(np.fromiter(chain.from_iterable(point), np.int64) for point in points))


def _with_goal(query: Query, bounds: Ranges, limits: Limits) -> And:
    """A conjunction of two, the first without what bounds decide."""
    assert isinstance(query.violation, And)
    assumption, goal = query.violation.parts
    return And((simplify(replace(query, violation=assumption), bounds, limits), goal))


class _Reducer:
    """Backward through all layers for what is needed, then forward for networks of it."""

    def __init__(self, whole: Reduction, limits: Limits):
        self.whole, self.limits, self.layout = whole, limits, whole.bounds.layout
        self.lo, self.hi = whole.bounds.lo[0], whole.bounds.hi[0]
        self.fixed = self.lo == self.hi
        self.parts: dict[int, Part] = {}

    def run(self) -> Reduction | None:
        self.refs = {ref: self.layout.value(ref) for atom in atoms(self.whole.formula) for _, ref in atom.terms}
        if not self._worth_a_try():
            return None
        self._choose()
        work = sum(work_of(block.layer.affine) for block in self.layout.blocks)
        if not self.parts or sum(part.work for part in self.parts.values()) > WORTH * work:
            return None
        return self._build()

    def _worth_a_try(self) -> bool:
        """Whether outputs and cells that stand still, and layers that nothing rests on, are enough of all work."""
        total = still = 0.0
        rests = self._needed()[1]
        for block in reversed(self.layout.blocks):
            work, moving = work_of(block.layer.affine), 1 - float(self._constant(block).mean())
            moving = moving if rests[block.target].any() else 0.0
            rests[block.view[block.view != PADDING]] |= bool(moving)
            total, still = total + work, still + work * (1 - moving * (1 - float(self.fixed[block.target].mean())))
        return still >= (1 - WORTH) * total

    def _needed(self) -> tuple[np.ndarray, np.ndarray]:
        """bool[values] each: what is named, by the formula or as a difference, and what is needed whatever reads it."""
        layout, named = self.layout, np.zeros(self.layout.num_values, bool)
        named[list(self.refs.values())] = True
        named[layout.pairs[:, 3] + layout.num_inputs] = True  # a difference says something of both even where it is constant
        needed = named.copy()
        needed[layout.pairs[:, 2] + layout.num_inputs] = True
        return named, needed

    def _constant(self, block: Block) -> np.ndarray:
        """bool[cells]: those of a layer that can't move."""
        return (block.view == PADDING) | self.fixed[block.view]

    def _choose(self) -> None:
        """The parts of layers that stay, and the values that these read and none of them gives: free and still ones."""
        layout, fixed = self.layout, self.fixed
        (named, needed), given = self._needed(), np.zeros(layout.num_values, bool)
        for number, block in reversed(list(enumerate(layout.blocks))):
            self.limits.check()
            wanted = needed[block.target] & (~fixed | named)[block.target]
            if not wanted.any():
                continue
            value = np.where(block.view == PADDING, block.layer.input.zero_point, self.lo[block.view])
            part = part_of(block.layer.affine, wanted, self._constant(block), value)
            self.parts[number] = part
            given[block.target.start + part.outputs] = True
            reads = block.view[part.cells]
            if (reads == PADDING).all():  # a constant that is named: no network without inputs
                self.parts.clear()
                return
            needed[reads[reads != PADDING]] = True
        self.free, self.still = needed & ~fixed & ~given, needed & fixed & ~given

    def _build(self) -> Reduction:
        whole = self.whole
        self.kept = sorted({self.layout.blocks[number].network for number in self.parts})
        made = [self._network(k) for k in self.kept]
        place = {v: Ref(k, INPUT, i) for k, part in enumerate(made) for i, v in enumerate(part.inputs.tolist()) if v in self.named}
        place |= {v: Ref(k, OUTPUT, i) for k, part in enumerate(made) for i, v in enumerate(part.results.tolist())}
        names = {ref: place[v] for ref, v in self.refs.items()}
        formula = renamed(whole.formula, names)
        boxes = tuple([Box(self.lo[part.inputs], self.hi[part.inputs]) for part in made])
        query = Query(tuple(part.network for part in made), boxes, formula, limits=self.limits)
        outputs = np.concatenate([part.outputs for part in made])
        values, neurons = np.concatenate([*(part.inputs for part in made), outputs]), outputs - self.layout.num_inputs
        lo, hi, acc_lo, acc_hi = whole.bounds.arrays
        layout = Layout(query.networks, self.limits).linked(self._pairs(neurons))
        bounds = Ranges(lo[:, values], hi[:, values], acc_lo[:, neurons], acc_hi[:, neurons], layout)
        refs = {new: ref for ref, new in names.items()}
        return Reduction(query, bounds, formula, whole, Places(values, neurons), refs)

    def _pairs(self, neurons: np.ndarray) -> np.ndarray:
        """The pairs whose neurons are among those that stay; a constant difference of accumulators is a number."""
        place = np.full(self.layout.num_neurons, -1)
        place[neurons] = np.arange(len(neurons))
        pairs, (_, _, acc_lo, acc_hi) = self.layout.pairs, self.whole.bounds.arrays
        found, e = place[pairs[:, :4]], pairs[:, 2]
        found = np.concatenate([found, acc_lo[0, e][:, None], acc_hi[0, e][:, None]], axis=1)
        return found[(found[:, [0, 1, 3]] >= 0).all(axis=1)]

    @property
    def named(self) -> set[int]:
        """The values that the formula names."""
        return set(self.refs.values())

    def _network(self, k: int) -> _Made:
        """What is left of network k: inputs that move, then those that don't, and then layers.

        The first one gets the inputs of networks of which nothing else is left.
        """
        layout, mine = self.layout, {k}
        if k == self.kept[0]:
            mine |= set(range(len(layout.networks))) - set(self.kept)
        tensors = [pair for m in sorted(mine) for pair in _tensors(layout.networks[m].inputs, layout.inputs[m].start)]
        given = [(block.layer.output, block.target) for block in layout.blocks if block.network == k]
        forms, inputs = list[TensorFormat](), list[np.ndarray]()
        for mask, sources in ((self.free, tensors), (self.still, [*tensors, *given])):
            for form, part in sources:
                values = part.start + np.flatnonzero(mask[part])
                if len(values):
                    forms.append(replace(form, shape=(len(values),)))
                    inputs.append(values)
        numbers = [number for number in sorted(self.parts) if layout.blocks[number].network == k]
        outputs = np.concatenate([layout.blocks[number].target.start + self.parts[number].outputs for number in numbers])
        values = np.concatenate([*inputs, outputs])
        place = np.full(layout.num_values + 1, PADDING, np.int32)  # the last one is that of PADDING
        place[values] = np.arange(len(values))
        layers, reads = zip(*(_layer(layout.blocks[number], self.parts[number], place) for number in numbers), strict=True)
        results = outputs[np.isin(outputs, list(self.named))]
        results = results if len(results) else outputs[-1:]  # a formula over inputs alone, whose pairs are kept
        network = Network(layers, layout.networks[k].name, inputs=tuple(forms), reads=reads, outputs=place[results])
        return _Made(network, np.concatenate(inputs), outputs, results)


class _Made(NamedTuple):
    """A network, and the values of the whole query that its inputs, its neurons and its results are, int64 each."""

    network: Network
    inputs: np.ndarray
    outputs: np.ndarray
    results: np.ndarray


def _tensors(forms: tuple[TensorFormat, ...], start: int) -> list[tuple[TensorFormat, slice]]:
    """Inputs one after the other, and the values that they are."""
    ends = np.cumsum([start, *(form.size for form in forms)]).tolist()
    return [(form, slice(a, b)) for form, (a, b) in zip(forms, pairwise(ends), strict=True)]


def _layer(block: Block, part: Part, place: np.ndarray) -> tuple[Layer, np.ndarray]:
    """The part as a layer, and the values that it reads; value v of the whole query is place[v] of the new network."""
    layer, shown = block.layer, place[block.view[part.cells]]
    inside = shown != PADDING
    reads, which = np.unique(shown[inside], return_inverse=True)
    cells = np.full(len(shown), PADDING, np.int32)
    cells[inside] = which
    width = part.map.bias.size if isinstance(part.map, Patches) else len(part.outputs)
    requantizers = _requantizers(layer, part.outputs, width)
    lo, hi = min(r.lo for r in requantizers), max(r.hi for r in requantizers)
    output = replace(layer.output, shape=(len(part.outputs) // width, width), lo=lo, hi=hi)
    return Linear(layer.name, replace(layer.input, shape=(len(reads),)), output, requantizers, part.map, cells), reads


def _requantizers(layer: Layer, outputs: np.ndarray, width: int) -> tuple[Requantizer, ...]:
    """Those of some outputs: one, one for each of `width` channels, or one for each."""
    which = outputs % len(layer.requantizers)
    for period in (width, 1):
        if (which.reshape(-1, period) == which[:period]).all():
            which = which[:period]
    return tuple([layer.requantizers[int(i)] for i in which])
