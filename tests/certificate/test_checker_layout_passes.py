"""A pass over the layers looks at what can have changed, and finds what a pass that looks at everything finds."""

import random

import numpy as np
import pytest
from graphs import KINDS, WIDE, graph_query
from handmade import one_layer, query, tensor

from qbitsat.arithmetic import TableRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.reduction import Reduction
from qbitsat.certificate.layout import FAR, Layout, Ranges
from qbitsat.limits import NO_LIMITS
from qbitsat.properties import And
from qbitsat.properties.formula import TRUE

ENDS = ("lo", "hi", "acc_lo", "acc_hi")


def full_pass(layout: Layout, ranges: Ranges, inputs: bool) -> bool:
    """All layers, all outputs; whether something is left."""
    for block in layout.blocks:
        n, t = block.neurons, block.target
        if inputs or block.reads_neurons:
            acc_lo, acc_hi = block.accumulate(ranges.lo, ranges.hi)
            ranges.acc_lo[n], ranges.acc_hi[n] = np.maximum(ranges.acc_lo[n], acc_lo), np.minimum(ranges.acc_hi[n], acc_hi)
        if not block.steps.narrow(ranges.acc_lo[n], ranges.acc_hi[n], ranges.lo[t], ranges.hi[t]):
            return False
    return True


def full_cut(layout: Layout, ranges: Ranges, value: int, lo: int, hi: int) -> Ranges | None:
    new = ranges.copy()
    new.lo[value], new.hi[value] = max(lo, int(new.lo[value])), min(hi, int(new.hi[value]))
    return new if new.lo[value] <= new.hi[value] and full_pass(layout, new, value < layout.num_inputs) else None


def same(one: Ranges | None, other: Ranges | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(getattr(one, end), getattr(other, end)) for end in ENDS)


@pytest.mark.parametrize("seed", range(150))
def test_cuts_sums_and_facts_leave_what_full_passes_leave(seed, monkeypatch):
    rng = random.Random(seed)
    layout = Layout(graph_query(rng, KINDS, tops=WIDE))
    ranges = layout.whole
    for _ in range(12):
        value, kind = rng.randrange(layout.num_values), rng.choice(["cut", "cut", "sums", "fact"])
        lo, hi = int(ranges.lo[value]), int(ranges.hi[value])
        at = rng.randint(lo, hi + 1)
        if kind == "cut":
            ends = rng.choice([(-FAR, at - 1), (at, FAR)])
            new, full = layout.cut(ranges, value, *ends), full_cut(layout, ranges, value, *ends)
        elif kind == "sums":
            atoms = [
                ({v: rng.choice([-3, -1, 1, 2]) for v in rng.sample(range(layout.num_values), 2)}, rng.randint(-60, 60)) for _ in range(2)
            ]
            new = layout.narrowed(ranges, atoms)
            with monkeypatch.context() as patched:
                patched.setattr(Layout, "propagate", lambda layout, new, inputs: new if full_pass(layout, new, inputs) else None)
                full = layout.narrowed(ranges, atoms)
        else:
            neuron = rng.randrange(layout.num_neurons)
            new, full = ranges.copy(), ranges.copy()
            for one in (new, full):
                one.acc_hi[neuron] = int(ranges.acc_lo[neuron] + ranges.acc_hi[neuron]) // 2
            new.restless[layout.num_inputs + neuron] = True
            new = layout.propagate(new)
            full = full if full_pass(layout, full, False) else None
        assert same(new, full)
        if new is None:
            return
        ranges = new


def test_what_a_cut_between_two_steps_leaves_is_settled_by_the_next_pass():
    """y is 0, 4 or 8: y >= 3 gives accumulators from the first of 4 on, and the next look at them makes it y >= 4."""
    network = one_layer([[1]], None, TableRequantizer(0, (0, 0, 4, 4, 8)), tensor(1, 0, 4))
    layout = Layout(query(network, And(())))
    once = layout.cut(layout.whole, 1, 3, FAR)
    assert (once.lo[1], once.acc_lo[0], once.restless[1]) == (3, 2, True)
    assert layout.cut(once, 1, 0, FAR).lo[1] == 4


@pytest.mark.parametrize("seed", range(150))
def test_ranges_at_rest_are_those_that_the_search_means(seed):
    """Of a leaf for SAT, whose CNF both must make: where steps pass over outputs, one pass more or less would make another."""
    rng = random.Random(seed)
    asked = graph_query(rng, KINDS)
    bounds, layout = propagate(asked), Layout(asked)
    for value in rng.choices(np.flatnonzero(layout.cuttable).tolist() or [0], k=3):
        at = rng.randint(int(bounds.lo[0, value]), int(bounds.hi[0, value]))
        ends = bounds.lo if rng.random() < 0.5 else bounds.hi
        ends[0, value] = at
    if not bounds.propagate(bounds.layout, inputs=True).all():
        return
    found = Reduction(asked, bounds, TRUE).spread(bounds, 0, NO_LIMITS)
    rest = layout.rest(Ranges.at_rest(*(end[0] for end in bounds.arrays)))
    if found is None or rest is None:
        assert found is rest
        return
    for mine, other in zip(found.arrays, (rest.lo, rest.hi, rest.acc_lo, rest.acc_hi), strict=True):
        np.testing.assert_array_equal(mine[0], other)
