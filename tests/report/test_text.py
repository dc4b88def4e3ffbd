"""Tables, network descriptions and pictures."""

import numpy as np
from larger import larger_network

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.report import describe, side_by_side, table
from qbitsat.report.network import word_bits


def test_table_aligns_words_left_and_numbers_right():
    assert table([("name", "n"), ("a", 5), ("bc", 100)]) == "name    n\na       5\nbc    100"


def test_describe_says_how_many_kinds_of_requantizers():
    form, output = TensorFormat((2,), 0, 3), TensorFormat((3,), 0, 7)
    requantizers = tuple(ShiftRequantizer(shift, "floor", 0, 7) for shift in (1, 2, 2))
    network = Network((Dense("mixed", form, output, requantizers, np.ones((3, 2), np.int64), np.zeros(3, np.int64)),))
    assert "2 kinds" in describe(network).splitlines()[-1]


def test_describe_accumulators_are_exact():
    network = larger_network()
    layer = network.layers[0]
    wide = Dense("wide", layer.input, layer.output, layer.requantizers, np.array([[3, -1], [0, 2]]), np.array([-7, 0]))
    assert "[-22, 38]" in describe(Network((wide,)))


def test_word_bits_of_every_small_range():
    for lo in range(-9, 10):
        for hi in range(lo, 10):
            bits = word_bits(lo, hi)
            fits = [(lo >= 0 and hi < 2**b) or (lo < 0 and lo >= -(2 ** (b - 1)) and hi < 2 ** (b - 1)) for b in (bits - 1, bits)]
            assert fits == [False, True] or (bits == 1 and fits[1])


def test_side_by_side_marks_changes():
    form = TensorFormat((2, 3), 0, 9)
    before = np.array([0, 0, 9, 9, 0, 0])
    after = np.array([0, 1, 9, 8, 0, 0])
    lines = side_by_side(form, before, after, ("before", "after")).splitlines()
    assert lines == ["before   after    changes", "    @@     ..@@     ++", "@@       %%       --"]


def test_side_by_side_uses_the_whole_range_of_shades():
    form = TensorFormat((1, 2), -8, 7)
    image = np.array([-8, 7])
    assert side_by_side(form, image, image, ("", "")).splitlines()[1].startswith("  @@     @@")
