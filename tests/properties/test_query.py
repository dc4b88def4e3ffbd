"""Queries and boxes: what fits together, what is refused and in which words."""

import numpy as np
import pytest
from handmade import copying, query, whole_box, x, y

from qbitsat.attack import propose
from qbitsat.bounds import propagate, simplify
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.limits import LimitReached, Limits
from qbitsat.network.layers import ACC_LIMIT
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Formula, Not, Or, Query, Ref, at_least, robustness
from qbitsat.properties.formula import TRUE, is_true
from qbitsat.properties.query import MAX_DEPTH

NETWORK = copying(2)


def box(lo, hi) -> Box:
    return Box(np.array(lo), np.array(hi))


def test_box_arrays_are_read_only_copies():
    lo = np.array([1, 2], np.uint8)
    made = Box(lo, np.array([3, 4]))
    lo[...] = 9
    assert (made.lo.dtype, made.lo.tolist()) == (np.int64, [1, 2])
    with pytest.raises(ValueError, match="read-only"):
        made.lo[0] = 0


BOX_FAULTS = {
    "float": (np.zeros(2), np.ones(2, int), "box: lo: dtype float64, expected integers"),
    "nan": (np.zeros(2, int), np.full(2, np.nan), "box: hi: dtype float64, expected integers"),
    "lengths": (np.zeros(2, int), np.ones(3, int), r"box: hi: shape \(3,\), expected \(2,\)"),
    "two_axes": (np.zeros((1, 2), int), np.ones((1, 2), int), "box: expected one axis and lo <= hi everywhere"),
    "reversed": (np.array([0, 2]), np.array([5, 1]), "box: expected one axis and lo <= hi everywhere"),
    "huge": (np.array([0, -(1 << 31) - 1]), np.array([5, 1]), "box: lo: values from -2147483649 to 0, expected integers in"),
    "unsigned": (np.zeros(1, int), np.array([(1 << 64) - 1], np.uint64), "box: hi: values from .*, expected integers in"),
    "ragged": ([[1], [1, 2]], [[1], [1, 2]], "box: lo: .*expected"),
}


@pytest.mark.parametrize(("lo", "hi", "message"), BOX_FAULTS.values(), ids=BOX_FAULTS)
def test_box_fault(lo, hi, message):
    with pytest.raises(InputError, match=message):
        Box(lo, hi)


def test_query_box_may_be_the_whole_format_or_one_point():
    query(NETWORK, TRUE, whole_box(NETWORK))
    query(NETWORK, TRUE, box([15, 0], [15, 0]))


@pytest.mark.parametrize(("lo", "hi"), [([-1, 0], [3, 3]), ([0, 0], [3, 16])])
def test_query_box_leaves_the_format(lo, hi):
    with pytest.raises(InputError, match=r"query: box 0 leaves the input range \[0, 15\]"):
        query(NETWORK, TRUE, box(lo, hi))


def test_query_box_names_the_network_it_does_not_fit():
    with pytest.raises(InputError, match="query: box 1 has 3 elements, network 'handmade' reads 2"):
        Query((NETWORK, NETWORK), (whole_box(NETWORK), box([0] * 3, [1] * 3)), TRUE)


@pytest.mark.parametrize(("networks", "boxes"), [(0, 0), (1, 0), (1, 2), (2, 1)])
def test_query_needs_one_box_a_network(networks, boxes):
    with pytest.raises(InputError, match=f"query: {networks} networks and {boxes} boxes, expected one box a network"):
        Query((NETWORK,) * networks, (whole_box(NETWORK),) * boxes, TRUE)


REFS = {
    "network_too_large": (Ref(1, "output", 0), "which does not exist"),
    "network_negative": (Ref(-1, "output", 0), "which does not exist"),
    "element_too_large": (Ref(0, "output", 2), "expected an index below 2"),
    "element_negative": (Ref(0, "input", -1), "expected an index below 2"),
}


@pytest.mark.parametrize(("ref", "message"), REFS.values(), ids=REFS)
def test_query_formula_names_what_is_not_there(ref, message):
    formula = And((TRUE, Not(Or((AtMost(((1, x(0)), (1, ref)), 0),)))))
    with pytest.raises(InputError, match=f"query: the formula names Ref.*{message}"):
        query(NETWORK, formula)


def test_query_inequality_up_to_the_exact_range():
    query(NETWORK, AtMost(((1, x(0)),), ACC_LIMIT - 16))
    with pytest.raises(UnsupportedError, match=r"query: an inequality can reach 1152921504606846976, beyond the exact range of 2\*\*60"):
        query(NETWORK, AtMost(((1, x(0)),), ACC_LIMIT - 15))


def test_query_inequality_counts_terms_that_cancel():
    big = ACC_LIMIT // 16
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        query(NETWORK, AtMost(((big, x(0)), (-big, x(0))), 0))


@pytest.mark.parametrize("bound", [ACC_LIMIT, -ACC_LIMIT])
def test_query_bound_beyond_the_exact_range(bound):
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        query(NETWORK, AtMost((), bound))


def test_query_huge_coefficient_of_an_element_that_is_always_zero():
    zero = copying(1, 0, 0)
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        query(zero, AtMost(((1 << 100, y(0)),), 0))


@pytest.mark.parametrize(("coefficient", "element", "bound"), [(0.5, 0, 7), (1, 0.0, 7), (1, 0, 14.5)])
def test_query_numbers_of_a_formula_must_be_integers(coefficient, element, bound):
    """Fractions would change the meaning of `Not`, which counts on s > b being s >= b + 1."""
    with pytest.raises(InputError, match=r"query: .*expected an integer"):
        query(NETWORK, AtMost(((coefficient, y(element)),), bound))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_at_least_small_integer_types_do_not_wrap(dtype):
    formula = at_least(((dtype(1), y(0)),), dtype(15))
    assert [is_true(formula, [[0, 0]], [[v, 0]]) for v in (14, 15)] == [False, True]


@pytest.mark.parametrize("connective", [And, Or])
def test_query_keeps_parts_given_as_an_iterator_or_list(connective):
    """An iterator that is used up while the query is checked would leave an empty formula, and a wrong verdict."""
    parts = [at_least(((1, y(0)),), 15), at_least(((1, y(1)),), 15)]
    formula = connective(part for part in parts)
    asked = query(NETWORK, formula)
    assert asked.violation == connective(tuple(parts))
    listed = connective(parts)
    parts.clear()
    assert listed == asked.violation


@pytest.mark.parametrize("parts", [None, 3, at_least(((1, y(0)),), 15)])
def test_query_parts_that_are_no_sequence(parts):
    with pytest.raises(InputError, match="expected a tuple of formulas"):
        Or(parts)


def test_query_of_exponentially_many_parts_is_refused():
    formula = at_least(((1, y(0)),), 15)
    for k in range(40):
        if k == 18:
            assert query(NETWORK, formula).num_parts == 2**19 - 1
        formula = And((formula, formula))
    with pytest.raises(InputError, match="more than 1048576 parts"):
        query(NETWORK, formula)


def test_query_formula_that_is_a_part_of_itself_is_refused():
    formula = Not(at_least(((1, y(0)),), 15))
    object.__setattr__(formula, "part", Or((formula, formula)))
    with pytest.raises(InputError, match="is a part of itself"):
        query(NETWORK, formula)


def nested(levels: int):
    formula: Formula = AtMost(((1, y(0)),), 7)
    for k in range(levels - 1):
        formula = Not(formula) if k % 3 == 0 else (And if k % 3 == 1 else Or)((formula,))
    return formula


def test_query_formula_of_the_deepest_nesting_passes_every_stage():
    deep = query(NETWORK, nested(MAX_DEPTH))
    simple = simplify(deep, propagate(deep))
    assert propose(deep, simple, make_options(), Limits()).inputs is not None


def test_query_formula_nests_too_deep():
    with pytest.raises(UnsupportedError, match=f"query: the formula nests deeper than {MAX_DEPTH} levels"):
        query(NETWORK, nested(MAX_DEPTH + 1))


def test_query_of_two_networks():
    one, two = copying(1), copying(3, -8, 7)
    formula = AtMost(((1, Ref(0, "output", 0)), (-1, Ref(1, "output", 2))), 0)
    assert Query((one, two), (whole_box(one), whole_box(two)), formula).boxes[1].lo.tolist() == [-8] * 3


ASKED = [
    lambda limits: Query((NETWORK,), (whole_box(NETWORK),), And(()), limits=limits),
    lambda limits: robustness(NETWORK, [1, 0], 1, 0, limits=limits),
]


@pytest.mark.parametrize("ask", ASKED)
def test_queries_are_built_within_limits(ask):
    assert ask(Limits(timeout=60)).num_parts >= 1
    with pytest.raises(LimitReached, match="timeout"):
        ask(Limits(timeout=1e-9))
