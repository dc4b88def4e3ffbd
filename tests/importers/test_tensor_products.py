"""Products of two elements that are both computed, over all their integers, and questions about them."""

import random

import numpy as np
import pytest
from certified import check_engines
from tiny import all_values, least_formula, truths

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import UnsupportedError
from qbitsat.importers.assembly import Builder, Wires, multiplied
from qbitsat.network import Network, TensorFormat, forward
from qbitsat.properties import Box, Query
from qbitsat.verify import HOLDS

EXACT = ShiftRequantizer(0, "floor", -(1 << 20), 1 << 20)


def product(forms: tuple[TensorFormat, TensorFormat], step=EXACT, constants: dict[int, int] | None = None) -> Network:
    """x * y of two inputs, element by element, those of y constants where they are given."""
    b = Builder("product", 1 << 20)
    x, y = (Wires.of_values(b.enter(form)) for form in forms)
    for place, constant in (constants or {}).items():
        y.values[place], y.constants[place] = -1, constant
    points = tuple(form.zero_point for form in forms)
    made = multiplied(b, "product", x, y, points, step, TensorFormat((1,), step.lo, step.hi))
    return b.finish("product", b.values(made))


@pytest.mark.parametrize(
    "ranges", [((-128, 127), (-128, 127)), ((-128, 127), (-3, 0)), ((0, 15), (0, 255)), ((-7, -2), (2, 9)), ((0, 1), (0, 0))]
)
@pytest.mark.parametrize("points", [(0, 0), (-128, 127), (3, -5)])
def test_every_pair_is_multiplied_exactly(ranges, points):
    network = product(tuple(TensorFormat((1,), lo, hi, 0.5, point) for (lo, hi), point in zip(ranges, points, strict=True)))
    pairs = np.stack([side.ravel() for side in np.meshgrid(*(np.arange(lo, hi + 1) for lo, hi in ranges))], axis=1)
    assert (forward(network, pairs)[:, 0] == (pairs[:, 0] - points[0]) * (pairs[:, 1] - points[1])).all()


def test_constants_among_them():
    forms = TensorFormat((3,), -4, 3, 1.0, 1), TensorFormat((3,), -4, 3, 1.0, -2)
    network = product(forms, constants={0: -9, 2: -2})
    x = np.random.default_rng(0).integers(-4, 4, (50, 6))
    expected = (x[:, :3] - 1) * (np.stack([np.full(50, -9), x[:, 4], np.full(50, -2)], axis=1) + 2)
    assert (forward(network, x) == expected).all()


@pytest.mark.parametrize("seed", range(12))
def test_questions_about_products_agree_with_enumeration(seed):
    rng = random.Random(seed)
    ends = [sorted(rng.sample(range(-9, 10), 2)) for _ in range(2)]
    forms = tuple(TensorFormat((2,), *end, 1.0, rng.randint(-4, 4)) for end in ends)
    network = product(forms, ShiftRequantizer(rng.randint(0, 3), "half_up", -40, 40))
    box = Box(np.repeat([lo for lo, _ in ends], 2), np.repeat([min(hi, lo + 5) for lo, hi in ends], 2))
    values = all_values([network], [box])
    query = Query((network,), (box,), least_formula(rng, values[1][0]))
    expected = not truths(query.violation, *values).any()
    assert all((checked.verdict == HOLDS) == expected for checked in check_engines(query, seed))


def test_so_many_that_a_file_of_that_size_may_not_have_are_refused():
    b = Builder("product", 0)
    x, y = (Wires.of_values(b.enter(TensorFormat((1 << 20,), -128, 127))) for _ in range(2))
    with pytest.raises(UnsupportedError, match="so many values"):
        multiplied(b, "product", x, y, (0, 0), EXACT, TensorFormat((1,), EXACT.lo, EXACT.hi))
