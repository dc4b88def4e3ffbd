"""Ranges of batches of nodes: forward and back, no point lost."""

import random

import numpy as np
import pytest
import ranges_twin
from enumerated import narrowed, random_asked, space
from handmade import one_layer, query, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat._kernels.exact import ranges as _ranges
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import propagate
from qbitsat.bounds.dual import largest
from qbitsat.bounds.layout import Layout
from qbitsat.bounds.ranges import Ranges
from qbitsat.properties import Box
from qbitsat.properties.formula import TRUE


def lists(ranges: Ranges, row: int = 0) -> tuple[list[int], ...]:
    return tuple(getattr(ranges, name)[row].tolist() for name in ("lo", "hi", "acc_lo", "acc_hi"))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.integers(0, 2**32 - 1))
def test_propagate_loses_no_point(seed):
    rng = random.Random(seed)
    asked = random_asked(rng)
    points = space(asked)
    ranges = narrowed(rng, asked, points.layout, 6, 5)
    inputs = rng.random() < 0.5
    if inputs:
        i = rng.randrange(points.layout.num_inputs)
        ranges.lo[:3, i] = rng.randint(int(ranges.lo[0, i]), int(ranges.hi[0, i]))
    before = [points.inside(ranges, row) for row in range(6)]
    left = ranges.propagate(points.layout, inputs)
    for row in range(6):
        if left[row]:
            assert (points.inside(ranges, row) == before[row]).all()
        else:
            assert not before[row].any()


def half(box: Box | None = None):
    """acc = x0 - x1, y = acc / 2 rounded down, 0 to 15."""
    return query(one_layer([[1, -1]], None, ShiftRequantizer(1, "floor", 0, 15), tensor(2)), TRUE, box)


def test_ranges_of_interval_bounds():
    assert lists(propagate(half())) == ([0, 0, 0], [15, 15, 7], [-15], [15])


def test_propagate_outputs_narrow_accumulators():
    ranges = propagate(half())
    ranges.lo[0, 2], ranges.hi[0, 2] = 3, 5
    assert ranges.propagate(Layout(half().networks)).tolist() == [True]
    assert lists(ranges) == ([0, 0, 3], [15, 15, 5], [6], [11])


@pytest.mark.parametrize(("inputs", "acc_hi"), [(False, 15), (True, 4)])
def test_propagate_reads_inputs_when_told(inputs, acc_hi):
    ranges = propagate(half())
    ranges.hi[0, 0] = 4
    assert ranges.propagate(Layout(half().networks), inputs).all()
    assert ranges.acc_hi[0, 0] == acc_hi


def test_propagate_says_which_nodes_are_empty():
    ranges = propagate(half()).take(np.zeros(3, np.int64))
    ranges.acc_lo[1, 0], ranges.hi[1, 2] = 4, 1
    assert ranges.propagate(Layout(half().networks)).tolist() == [True, False, True]


def test_propagate_wrapping_outputs_say_nothing_of_accumulators():
    asked = query(one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, 3, "wrap"), tensor(1)), TRUE)
    ranges = propagate(asked)
    ranges.lo[0, 1] = 3
    assert ranges.propagate(Layout(asked.networks)).all()
    assert lists(ranges) == ([0, 3], [15, 3], [0], [15])


def test_take_copies_rows_in_order():
    ranges = propagate(half()).take(np.zeros(2, np.int64))
    ranges.lo[1, 0] = 7
    taken = ranges.take(np.array([1, 0]))
    taken.hi[:] = 99
    assert (taken.lo[:, 0].tolist(), ranges.hi.max()) == ([7, 0], 15)


def test_stack_joins_nodes():
    a, b = propagate(half()), propagate(half(Box(np.array([1, 1]), np.array([2, 2]))))
    joined = Ranges.stack([a, b])
    assert len(joined) == 2
    assert (lists(joined, 0), lists(joined, 1)) == (lists(a), lists(b))


def nodes(seed: int) -> tuple[Layout, Ranges]:
    """Cut nodes of a random query."""
    rng = random.Random(seed)
    asked = random_asked(rng)
    layout = Layout(asked.networks)
    return layout, narrowed(rng, asked, layout, 8, 6)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_propagate_equals_its_twin(seed, inputs):
    layout, ranges = nodes(seed)
    same = ranges.take(np.arange(len(ranges)))
    left, expected = ranges.propagate(layout, inputs), ranges_twin.propagate(layout, same, inputs)
    assert left.tolist() == expected.tolist()
    for mine, other in zip(ranges.arrays, same.arrays, strict=True):
        assert mine[left].tolist() == other[left].tolist()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, 2**32 - 1))
def test_what_comes_before_a_change_may_be_passed_over(seed):
    """Once ranges are at rest, a cut output leaves those of the layers before it as they are."""
    rng = random.Random(seed)
    layout, ranges = nodes(seed)
    for _ in range(9):  # where steps pass over outputs, one time is not enough
        ranges = ranges.take(np.flatnonzero(ranges.propagate(layout)))
    changed = np.array([rng.randrange(layout.num_inputs, layout.num_values) for _ in range(len(ranges))], np.int64)
    for row, value in enumerate(changed.tolist()):
        ranges.lo[row, value] = rng.randint(int(ranges.lo[row, value]), int(ranges.hi[row, value]))
    same = ranges.take(np.arange(len(ranges)))
    left, expected = ranges.propagate(layout, changed=changed), same.propagate(layout)
    assert left.tolist() == expected.tolist()
    for mine, other in zip(ranges.arrays, same.arrays, strict=True):
        assert mine[left].tolist() == other[left].tolist()


WIDE = tensor(40, 1 - (1 << 31), (1 << 31) - 1)
AFFINE = {
    "dense": (np.random.default_rng(0).integers(-99, 100, (3, 40)), tensor(40, -9, 9)),
    "sparse": (np.eye(3, 40, dtype=np.int64) * [[5], [-7], [1]], tensor(40, -9, 9)),
    "empty": (np.zeros((3, 40), np.int64), tensor(40, -9, 9)),
    "heavy": (np.random.default_rng(0).choice([1 - (1 << 31), (1 << 31) - 1], (3, 40)), tensor(40, -(1 << 21), 1 << 21)),
    "sums_beyond_32_bits": (np.random.default_rng(0).integers(-99, 100, (3, 40)), WIDE),
}


@pytest.mark.parametrize(("weights", "form"), AFFINE.values(), ids=AFFINE)
def test_propagate_reads_every_kind_of_matrix(weights, form):
    network = one_layer(weights.tolist(), [7, -8, 9], ShiftRequantizer(3, "half_up", -128, 127), form)
    layout, rng = Layout(query(network, TRUE).networks), np.random.default_rng(1)
    ranges = propagate(query(network, TRUE)).take(np.zeros(20, np.int64))
    ends = np.sort(rng.integers(form.lo, form.hi + 1, (2, 20, 40)), axis=0)
    ranges.lo[:, :40], ranges.hi[:, :40] = ends
    same = ranges.take(np.arange(20))
    assert ranges.propagate(layout, True).all()
    assert ranges_twin.propagate(layout, same, True).all()
    assert all((mine == other).all() for mine, other in zip(ranges.arrays, same.arrays, strict=True))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_vertices_equal_their_twin(seed):
    layout, ranges = nodes(seed)
    ranges = ranges.take(np.flatnonzero(ranges.propagate(layout)))
    for found, *parts in zip(
        _ranges.vertices(layout.kernel, *ranges.arrays), *(ranges_twin.vertices(b, ranges) for b in layout.blocks), strict=True
    ):
        assert found.tolist() == np.concatenate(parts, axis=-1).tolist()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_no_step_is_outside_of_its_vertices(seed):
    """Whatever linear function of accumulator and output: a value of the dual that vertices leave below 0 is one that integers prove."""
    layout, ranges = nodes(seed)
    ranges = ranges.take(np.flatnonzero(ranges.propagate(layout)))
    acc, y, _ = (part.astype(float) for part in _ranges.vertices(layout.kernel, *ranges.arrays))
    rng = random.Random(seed)
    for row in range(len(ranges)):
        for n in range(layout.num_neurons):
            block, i = layout.place(layout.num_inputs + n)
            ends = (
                part[row, n]
                for part in (ranges.acc_lo, ranges.acc_hi, ranges.lo[:, layout.num_inputs :], ranges.hi[:, layout.num_inputs :])
            )
            m, c = rng.randint(-9, 9), rng.randint(-999, 999)
            requantizer = block.layer.requantizer(i)
            if isinstance(requantizer, ShiftRequantizer) and requantizer.shift < 0:
                continue
            exact = largest(requantizer, m, c, *map(int, ends))
            values = c * y[row, :, n] - m * acc[row, :, n]
            assert exact <= values.max() + 1e-5 * (1 + np.abs(c * y[row, :, n]).max() + np.abs(m * acc[row, :, n]).max())


@pytest.mark.parametrize("name", ["lo", "hi"])
@pytest.mark.parametrize("change", [-1, 1])
def test_ranges_beyond_the_steps_are_refused(name, change):
    layout, ranges = Layout(half().networks), propagate(half())
    block = layout.blocks[0]
    getattr(ranges, name)[0, block.target.start] = block.layer.output.hi + 1 if change > 0 else block.layer.output.lo - 1
    for run in (lambda: ranges.propagate(layout), lambda: _ranges.vertices(layout.kernel, *ranges.arrays)):
        with pytest.raises(ValueError, match="leaves the steps"):
            run()


@pytest.mark.parametrize("k", range(4))
def test_ranges_of_another_layout_are_refused(k):
    arrays = list(propagate(half()).arrays)
    arrays[k] = np.zeros((1, arrays[k].shape[1] + 1), np.int64)
    with pytest.raises(ValueError, match="expected"):
        _ranges.propagate(Layout(half().networks).kernel, *arrays, False, np.zeros(1, np.int64))


@pytest.mark.parametrize("first", [[-1], [2], [0, 0], []])
def test_layers_that_are_not_there_are_refused(first):
    with pytest.raises(ValueError, match="expected a layer of 1"):
        _ranges.propagate(Layout(half().networks).kernel, *propagate(half()).arrays, False, np.array(first, np.int64))
