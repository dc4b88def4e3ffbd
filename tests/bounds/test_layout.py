"""Where a query's values stand, and the steps of every requantizer."""

import numpy as np
import pytest
from handmade import dense

from qbitsat._kernels.exact.layers import Atoms
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds.layout import Inequalities, Layout
from qbitsat.network import Network
from qbitsat.properties import Ref


def layout_of(*networks: Network) -> Layout:
    return Layout(networks)


FLOOR = ShiftRequantizer(1, "floor", 0, 15)


def two_layers(n_in: int, hidden: int, n_out: int) -> Network:
    first = dense(np.ones((hidden, n_in), np.int64), None, FLOOR)
    return Network((first, dense(np.ones((n_out, hidden), np.int64), None, FLOOR, first.output)), "two")


def test_layout_slices_of_two_networks():
    layout = layout_of(two_layers(3, 2, 4), two_layers(2, 5, 1))
    assert layout.inputs == [slice(0, 3), slice(3, 5)]
    assert [b.view.tolist() for b in layout.blocks] == [[0, 1, 2], [5, 6], [3, 4], [11, 12, 13, 14, 15]]
    assert [b.reads_neurons for b in layout.blocks] == [False, True, False, True]
    assert [b.target for b in layout.blocks] == [slice(5, 7), slice(7, 11), slice(11, 16), slice(16, 17)]
    assert [b.neurons for b in layout.blocks] == [slice(0, 2), slice(2, 6), slice(6, 11), slice(11, 12)]
    assert [result.tolist() for result in layout.results] == [[7, 8, 9, 10], [16]]
    assert np.flatnonzero(layout.is_result).tolist() == [2, 3, 4, 5, 11]
    assert (layout.num_inputs, layout.num_values, layout.num_neurons) == (5, 17, 12)


def test_layout_value_of_elements_that_formulas_name():
    layout = layout_of(two_layers(3, 2, 4), two_layers(2, 5, 1))
    assert [layout.value(Ref(*ref)) for ref in ((0, "input", 2), (1, "input", 1), (0, "output", 3), (1, "output", 0))] == [2, 4, 10, 16]


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
