"""Cuts always cut: inside a range that has two values, in layers whose outputs grow with accumulators."""

import random

import numpy as np
import pytest
import ranges_twin
from enumerated import narrowed, space
from handmade import copying, query
from suggested import suggestion
from tiny import busy_query

from qbitsat.bounds import propagate
from qbitsat.bounds.layout import Layout
from qbitsat.properties import Box
from qbitsat.properties.formula import TRUE
from qbitsat.search import split


def test_choose_cuts_inside_ranges_and_never_without_steps():
    for seed in range(150):
        rng = random.Random(seed)
        asked = busy_query(rng)
        layout = Layout(asked.networks)
        ranges = narrowed(rng, asked, layout, 8, 6)
        ranges = ranges.take(np.flatnonzero(ranges.propagate(layout)))
        values, at = split.choose(layout, ranges, suggestion(layout, len(ranges), np.random.default_rng(seed)))
        steady = {b.target.start + i for b in layout.blocks for i in np.flatnonzero(b.stepped).tolist()}
        for row, (value, first) in enumerate(zip(values.tolist(), at.tolist(), strict=True)):
            open_values = [v for v in steady if ranges.lo[row, v] < ranges.hi[row, v]]
            assert (value in open_values) or (value == -1 and not open_values)
            if value >= 0:
                assert ranges.lo[row, value] < first <= ranges.hi[row, value]


def test_choose_equals_its_twin():
    """Points of any size, and points within the nodes' ranges."""
    cuts = 0
    for seed in range(300):
        rng, generator = random.Random(seed), np.random.default_rng(seed)
        asked = busy_query(rng)
        layout = Layout(asked.networks)
        ranges = narrowed(rng, asked, layout, 8, 6)
        ranges = ranges.take(np.flatnonzero(ranges.propagate(layout)))
        given = suggestion(layout, len(ranges), generator)
        if seed % 2:
            share = generator.random(ranges.acc_lo.shape)
            acc, lo, hi = ranges.acc_lo + share * (ranges.acc_hi - ranges.acc_lo), *(a[:, layout.num_inputs :] for a in ranges.arrays[:2])
            given = given._replace(acc=acc.astype(np.float32), y=(lo + generator.random(lo.shape) * (hi - lo)).astype(np.float32))
        (value, at), (values, firsts) = split.choose(layout, ranges, given), ranges_twin.choose(layout, ranges, given)
        assert value.tolist() == values.tolist()
        assert at[value >= 0].tolist() == firsts[value >= 0].tolist()
        cuts += int((value >= 0).sum())
    assert cuts > 500


@pytest.mark.parametrize("name", ["coefficients", "acc", "y"])
def test_choose_points_of_another_layout_are_refused(name):
    asked = query(copying(2), TRUE)
    layout, ranges = Layout(asked.networks), propagate(asked)
    wide = suggestion(layout, 1, np.random.default_rng(0), **{name: np.zeros((1, 9), np.float32)})
    with pytest.raises(ValueError, match="expected"):
        split.choose(layout, ranges, wide)


def test_choose_nothing_when_all_outputs_are_fixed():
    asked = query(copying(2), TRUE, Box(np.array([3, 4]), np.array([3, 4])))
    layout, ranges = Layout(asked.networks), propagate(asked)
    assert split.choose(layout, ranges, suggestion(layout, 1, np.random.default_rng(0)))[0].tolist() == [-1]


def test_choose_nothing_where_coefficients_are_zero():
    asked = query(copying(2), TRUE)
    layout, ranges = Layout(asked.networks), propagate(asked)
    found = suggestion(layout, 1, np.random.default_rng(0), coefficients=np.zeros((1, 4), np.float32))
    assert split.choose(layout, ranges, found)[0].tolist() == [-1]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 3.4e38])
def test_choose_survives_any_coefficients(number):
    asked = query(copying(2), TRUE)
    layout, ranges = Layout(asked.networks), propagate(asked)
    values, at = split.choose(
        layout, ranges, suggestion(layout, 1, np.random.default_rng(0), coefficients=np.full((1, 4), number, np.float32))
    )
    assert values[0] == -1 or ranges.lo[0, values[0]] < at[0] <= ranges.hi[0, values[0]]


def test_input_bits_counts_inputs():
    box = Box(np.array([0, 1, 2]), np.array([3, 1, 9]))
    asked = query(copying(3), TRUE, box)
    assert split.input_bits(Layout(asked.networks), propagate(asked), 0) == pytest.approx(np.log2(len(space(asked).values)))


@pytest.mark.parametrize("number", [None, 0.0, np.nan, np.inf])
def test_choose_input_cuts_an_open_input(number):
    for seed in range(50):
        rng = random.Random(seed)
        lo = np.array([rng.randint(0, 7) for _ in range(4)])
        hi = lo + np.array([0, rng.randint(1, 8), 0, rng.randint(0, 8)])
        asked = query(copying(4), TRUE, Box(lo, hi))
        layout, ranges = Layout(asked.networks), propagate(asked)
        change = {} if number is None else {"coefficients": np.full((1, 8), number, np.float32)}
        value, at = split.choose_input(layout, ranges, 0, suggestion(layout, 1, np.random.default_rng(seed), **change))
        assert lo[value] < at <= hi[value]
