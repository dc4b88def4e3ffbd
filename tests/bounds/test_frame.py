"""Where a query's values stand, and the steps of every requantizer."""

from dataclasses import replace

import numpy as np
import pytest
from handmade import dense, one_layer, whole_box

from qbitsat._kernels.exact.blocks import Atoms
from qbitsat.arithmetic import ROUNDINGS, Requantizer, ShiftRequantizer
from qbitsat.bounds.frame import MAX_LEVELS, NOWHERE, Frame, Inequalities
from qbitsat.network import Network
from qbitsat.properties import Query, Ref
from qbitsat.properties.formula import TRUE

FLOOR = ShiftRequantizer(1, "floor", 0, 15)


def frame_of(*networks: Network) -> Frame:
    return Frame(Query(networks, tuple(whole_box(n) for n in networks), TRUE))


def two_layers(n_in: int, hidden: int, n_out: int) -> Network:
    first = dense(np.ones((hidden, n_in), np.int64), None, FLOOR)
    return Network((first, dense(np.ones((n_out, hidden), np.int64), None, FLOOR, first.output)), "two")


def test_frame_slices_of_two_networks():
    frame = frame_of(two_layers(3, 2, 4), two_layers(2, 5, 1))
    assert frame.inputs == [slice(0, 3), slice(3, 5)]
    assert [b.source for b in frame.blocks] == [slice(0, 3), slice(5, 7), slice(3, 5), slice(11, 16)]
    assert [b.target for b in frame.blocks] == [slice(5, 7), slice(7, 11), slice(11, 16), slice(16, 17)]
    assert [b.neurons for b in frame.blocks] == [slice(0, 2), slice(2, 6), slice(6, 11), slice(11, 12)]
    assert frame.outputs == [slice(7, 11), slice(16, 17)]
    assert (frame.num_inputs, frame.num_values, frame.num_neurons) == (5, 17, 12)


def test_frame_value_of_elements_that_formulas_name():
    frame = frame_of(two_layers(3, 2, 4), two_layers(2, 5, 1))
    assert [frame.value(Ref(*ref)) for ref in ((0, "input", 2), (1, "input", 1), (0, "output", 3), (1, "output", 0))] == [2, 4, 10, 16]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-1, 0, 1, 3])
@pytest.mark.parametrize("lo", [-5, 0, 2])
def test_steps_are_where_outputs_change(rounding, shift, lo):
    requantizer = ShiftRequantizer(shift, rounding, lo, lo + 6, offset=1)
    (starts,) = frame_of(one_layer([[1]], None, requantizer)).blocks[0].steps.tolist()
    assert (starts[0], starts[-1], len(starts)) == (-NOWHERE, NOWHERE, 8)
    for acc in range(-200, 200):
        v = requantizer.apply(acc) - lo
        assert starts[v] <= acc < starts[v + 1]


def test_steps_of_channels_with_ranges_of_their_own():
    channels = tuple(replace(FLOOR, shift=k, lo=lo, hi=hi) for k, (lo, hi) in enumerate([(-2, 3), (0, 1), (1, 2)]))
    block = frame_of(one_layer(np.ones((3, 1), np.int64), None, channels)).blocks[0]
    assert (block.y_min, block.channel.tolist(), block.steps.shape) == (-2, [0, 1, 2], (3, 7))
    assert (block.y_first.tolist(), block.y_last.tolist()) == ([-2, 0, 1], [3, 1, 2])
    for i, requantizer in enumerate(channels):
        for acc in range(-40, 40):
            v = requantizer.apply(acc) + 2
            assert block.steps[i, v] <= acc < block.steps[i, v + 1]


class Strange(ShiftRequantizer):
    """Inherits `first_reaching` and means something else."""

    def apply(self, acc):
        return self.hi - super().apply(acc)


class Doubling(Requantizer):
    """Monotone, and described by `apply` alone."""

    lo, hi = 0, 6

    def apply(self, acc):
        return np.clip(2 * acc, 0, 6) if isinstance(acc, np.ndarray) else min(max(2 * acc, 0), 6)


WITHOUT_STEPS = {
    "wrap": ShiftRequantizer(0, "floor", 0, 15, "wrap"),
    "subclass": Strange(0, "floor", 0, 15),
    "levels": ShiftRequantizer(0, "floor", 0, MAX_LEVELS),
}


@pytest.mark.parametrize("requantizer", WITHOUT_STEPS.values(), ids=WITHOUT_STEPS)
def test_steps_none(requantizer):
    assert not len(frame_of(one_layer([[1]], None, requantizer)).blocks[0].steps)


def test_steps_of_one_wrapping_channel_are_none_for_all():
    channels = (ShiftRequantizer(0, "floor", 0, 15), ShiftRequantizer(0, "floor", 0, 15, "wrap"))
    assert not len(frame_of(one_layer([[1], [1]], None, channels)).blocks[0].steps)


def test_steps_at_the_most_levels():
    starts = frame_of(one_layer([[1]], None, ShiftRequantizer(0, "floor", 0, MAX_LEVELS - 1))).blocks[0].steps
    assert starts.shape == (1, MAX_LEVELS + 1)
    assert starts[0, 1:-1].tolist() == list(range(1, MAX_LEVELS))


def test_steps_of_outputs_that_are_passed_over():
    starts = frame_of(one_layer([[1]], None, Doubling())).blocks[0].steps
    assert starts.tolist() == [[-NOWHERE, 1, 1, 2, 2, 3, 3, NOWHERE]]


def test_steps_never_leave_the_table():
    starts = frame_of(one_layer([[1]], None, ShiftRequantizer(61, "floor", -8, 7))).blocks[0].steps
    assert (np.abs(starts) <= NOWHERE).all()
    assert not starts.flags.writeable


def test_inequalities_are_the_same_in_flat_arrays():
    listed = [
        (np.array([3, 1]), np.array([-2, 5]), 7),
        (np.array([], np.int64), np.array([], np.int64), -1),
        (np.array([0]), np.array([1]), 0),
    ]
    flat = Inequalities.of(listed)
    assert Inequalities.of(flat) is flat
    assert [(v.tolist(), c.tolist(), b) for v, c, b in flat] == [(v.tolist(), c.tolist(), b) for v, c, b in listed]
    assert len(Inequalities.of([])) == 0
    place = np.array([4, 3, 2, 1])
    starts, values, coefficients, bounds = flat.floats(place)
    assert (starts.tolist(), values.tolist(), coefficients.tolist(), bounds.tolist()) == ([0, 2, 2, 3], [1, 3, 4], [-2, 5, 1], [7, -1, 0])


@pytest.mark.parametrize("starts", [[0, 2], [1, 1, 3], [0, 3, 2], [0, 2, 1, 3], [0, 4, 3]])
def test_inequalities_that_do_not_fit(starts):
    ones = np.ones(3, np.int64)
    with pytest.raises(ValueError, match="start"):
        Atoms(2, np.array(starts), ones, ones, ones[:2])
