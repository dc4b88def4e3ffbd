"""Rounding, saturation, wrap-around and requantizers against independent definitions on exact fractions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from qbitsat.arithmetic import MAX_SHIFT, OVERFLOWS, ROUNDINGS, Requantizer, ShiftRequantizer, divide_pow2, saturate, wrap
from qbitsat.errors import InputError

SHIFTS = range(-4, 8)
HALF = Fraction(1, 2)


def nearest(q: Fraction, tie) -> int:
    """The nearest integer; of two equally near ones that which `tie` picks."""
    below, above = math.floor(q), math.ceil(q)
    if q - below == above - q:
        return tie(below, above)
    return min(below, above, key=lambda n: abs(q - n))


DEFINITIONS = {
    "floor": math.floor,
    "toward_zero": lambda q: math.floor(q) if q >= 0 else math.ceil(q),
    "half_up": lambda q: nearest(q, max),
    "half_away": lambda q: nearest(q, lambda a, b: max(a, b, key=abs)),
    "half_even": lambda q: nearest(q, lambda a, b: a if a % 2 == 0 else b),
}

TABLE = {
    # halves:    -5/2 -3/2 -1/2  1/2  3/2  5/2
    "floor": (-3, -2, -1, 0, 1, 2),
    "toward_zero": (-2, -1, 0, 0, 1, 2),
    "half_up": (-2, -1, 0, 1, 2, 3),
    "half_away": (-3, -2, -1, 1, 2, 3),
    "half_even": (-2, -2, 0, 0, 2, 2),
}

QUARTERS = {
    # quarters:  -7/4 -5/4 -3/4 -1/4 1/4 3/4 5/4 7/4
    "floor": (-2, -2, -1, -1, 0, 0, 1, 1),
    "toward_zero": (-1, -1, 0, 0, 0, 0, 1, 1),
    "half_up": (-2, -1, -1, 0, 0, 1, 1, 2),
    "half_away": (-2, -1, -1, 0, 0, 1, 1, 2),
    "half_even": (-2, -1, -1, 0, 0, 1, 1, 2),
}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_named_halves(rounding):
    assert tuple(divide_pow2(acc, 1, rounding) for acc in (-5, -3, -1, 1, 3, 5)) == TABLE[rounding]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_named_quarters(rounding):
    assert tuple(divide_pow2(acc, 2, rounding) for acc in (-7, -5, -3, -1, 1, 3, 5, 7)) == QUARTERS[rounding]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_python_ints_every_shift(rounding):
    for shift, acc in itertools.product(SHIFTS, range(-300, 301)):
        assert divide_pow2(acc, shift, rounding) == DEFINITIONS[rounding](acc * Fraction(2) ** -shift), (acc, shift)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_int64_arrays_every_shift(rounding):
    acc = np.arange(-300, 300, dtype=np.int64).reshape(2, 300)
    for shift in SHIFTS:
        result = divide_pow2(acc, shift, rounding)
        assert result.dtype == np.int64
        assert result.tolist() == [[divide_pow2(a, shift, rounding) for a in row] for row in acc.tolist()]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_int64_at_the_limit_of_the_range(rounding):
    near = (0, 1, (1 << 61) - 1, 1 << 61, (1 << 61) + 1, (1 << 62) - 1)
    accs = sorted({sign * value for value in near for sign in (1, -1)})
    for shift in (1, 2, 31, 60, MAX_SHIFT):
        expected = [DEFINITIONS[rounding](Fraction(acc, 1 << shift)) for acc in accs]
        assert divide_pow2(np.array(accs, np.int64), shift, rounding).tolist() == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_python_ints_beyond_64_bits(rounding):
    for acc in (10**40 + 1, -(10**40) - 1, 3 << 99, -3 << 99, -(1 << 120)):
        assert divide_pow2(acc, 100, rounding) == DEFINITIONS[rounding](Fraction(acc, 1 << 100))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_divide_is_monotone(rounding):
    for shift in SHIFTS:
        values = [divide_pow2(acc, shift, rounding) for acc in range(-200, 200)]
        assert values == sorted(values)


def test_divide_unknown_rounding():
    with pytest.raises(InputError, match="rounding: 'nearest' is unknown; expected one of floor, toward_zero"):
        divide_pow2(5, 1, "nearest")


def test_saturate_ints_and_arrays():
    values = list(range(-10, 11))
    expected = [-3 if v < -3 else 5 if v > 5 else v for v in values]
    assert [saturate(v, -3, 5) for v in values] == expected
    assert saturate(np.array(values), -3, 5).tolist() == expected


@pytest.mark.parametrize(("lo", "hi"), [(0, 0), (0, 7), (-8, 7), (-4, 3), (3, 6), (-9, -2), (5, 12)])
def test_wrap_is_the_congruent_number_in_range(lo, hi):
    values = list(range(-50, 51))
    expected = [next(y for y in range(lo, hi + 1) if (v - y) % (hi - lo + 1) == 0) for v in values]
    assert [wrap(v, lo, hi) for v in values] == expected
    assert wrap(np.array(values), lo, hi).tolist() == expected


def requantizers(overflow: str):
    """Every rounding, shifts either way, offsets either way, ranges on either side of 0 and of one value."""
    ranges = [(0, 7), (-4, 3), (3, 6), (-6, -5), (2, 2)] if overflow == "wrap" else [(0, 6), (-4, 3), (3, 5), (-6, -5), (2, 2)]
    for rounding, shift, (lo, hi), offset in itertools.product(ROUNDINGS, (-2, -1, 0, 1, 2, 4), ranges, (-5, 0, 1, 4)):
        yield ShiftRequantizer(shift, rounding, lo, hi, overflow, offset)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_requantizer_apply_is_its_formula(overflow):
    accs = range(-150, 151)
    for r in requantizers(overflow):
        rounded = [DEFINITIONS[r.rounding](acc * Fraction(2) ** -r.shift) + r.offset for acc in accs]
        size = r.hi - r.lo + 1
        expected = [min(max(v, r.lo), r.hi) if overflow == "saturate" else (v - r.lo) % size + r.lo for v in rounded]
        assert [r.apply(acc) for acc in accs] == expected, r
        assert r.apply(np.array(accs, np.int64)).tolist() == expected, r


def test_requantizer_first_reaching_is_the_smallest():
    for r in requantizers("saturate"):
        for y in range(r.lo + 1, r.hi + 1):
            acc = r.first_reaching(y)
            assert r.apply(acc) >= y > r.apply(acc - 1), (r, y)


def test_requantizer_first_reaching_agrees_with_search():
    for r in requantizers("saturate"):
        for y in range(r.lo + 1, r.hi + 1):
            assert r.first_reaching(y) == Requantizer.first_reaching(r, y), (r, y)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-MAX_SHIFT, -40, 40, MAX_SHIFT])
def test_requantizer_first_reaching_extreme_shifts(rounding, shift):
    top = (1 << 31) - 1
    r = ShiftRequantizer(shift, rounding, -top, top, offset=-top)
    for y in (-top + 1, -1, 0, 1, top):
        acc = r.first_reaching(y)
        assert r.apply(acc) >= y > r.apply(acc - 1)


@pytest.mark.parametrize("y", [-1, 0, 16])
def test_requantizer_first_reaching_outside_the_range(y):
    with pytest.raises(ValueError, match="expected a monotone requantizer and 0 < y <= 15"):
        ShiftRequantizer(2, "floor", 0, 15).first_reaching(y)


def test_requantizer_first_reaching_of_wrap_is_refused():
    with pytest.raises(ValueError, match="expected a monotone requantizer"):
        ShiftRequantizer(2, "floor", 0, 15, "wrap").first_reaching(3)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_requantizer_monotone_means_saturating(overflow):
    assert ShiftRequantizer(1, "floor", 0, 7, overflow).monotone == (overflow == "saturate")


def test_requantizer_image_is_exact_for_saturate():
    for r in requantizers("saturate"):
        y = {acc: r.apply(acc) for acc in range(-40, 41)}
        for lo, hi in itertools.combinations_with_replacement(range(-40, 41, 3), 2):
            reached = [y[acc] for acc in range(lo, hi + 1)]
            assert r.image(lo, hi) == (min(reached), max(reached)), (r, lo, hi)


def test_requantizer_image_is_sound_for_wrap():
    for r in requantizers("wrap"):
        y = {acc: r.apply(acc) for acc in range(-40, 41)}
        for lo, hi in itertools.combinations_with_replacement(range(-40, 41, 4), 2):
            reached = [y[acc] for acc in range(lo, hi + 1)]
            low, high = r.image(lo, hi)
            assert r.lo <= low <= min(reached) <= max(reached) <= high <= r.hi, (r, lo, hi)


@pytest.mark.parametrize(
    ("acc_lo", "acc_hi", "image"),
    [(-8, 7, (-8, 7)), (0, 3, (0, 3)), (8, 15, (-8, -1)), (7, 8, (-8, 7)), (0, 16, (-8, 7)), (24, 24, (-8, -8))],
)
def test_requantizer_image_of_wrap_is_narrow_where_nothing_wraps_between(acc_lo, acc_hi, image):
    assert ShiftRequantizer(0, "floor", -8, 7, "wrap").image(acc_lo, acc_hi) == image


@pytest.mark.parametrize(("fraction", "ceiling"), [(2, 6), (3, 1), (4, 2)])
def test_q_format_bias_after_the_shift(fraction, ceiling):
    """Giacobbe, Henzinger and Lechner (TACAS 2020): y = clamp((sum w*x >> F) + b, 0, N * 2**F), the shift truncates."""
    for bias in (-9, -1, 0, 1, 7):
        r = ShiftRequantizer(fraction, "floor", 0, ceiling << fraction, offset=bias)
        for acc in range(-400, 401):
            truncated = math.floor(Fraction(acc, 2**fraction))
            assert r.apply(acc) == min(max(truncated + bias, 0), ceiling * 2**fraction)


def test_q_format_bias_after_the_shift_is_not_in_the_accumulator():
    after = ShiftRequantizer(2, "half_up", 0, 15, offset=1)
    assert after.apply(1) == 1
    assert ShiftRequantizer(2, "half_up", 0, 15).apply(1 + 1) == 1
    assert (after.apply(2), ShiftRequantizer(2, "half_up", 0, 15).apply(2 + 1)) == (2, 1)


@pytest.mark.parametrize(("bits", "input_fraction", "shift"), [(6, 8, 9), (6, 4, 5), (8, 8, 9), (8, 6, 7)])
@pytest.mark.parametrize("signed", [False, True])
def test_q_format_bias_in_the_accumulator(bits, input_fraction, shift, signed):
    """AAAI 2021: weights have Q-1 fractional bits, biases and activations Q-2; half up, then saturation."""
    lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    r = ShiftRequantizer(shift, "half_up", lo, hi)
    for bias, products in itertools.product((-(1 << bits - 1), -1, 0, 5), range(-40000, 40001, 97)):
        acc = products + bias * 2 ** (input_fraction + 1)
        real = Fraction(products, 2 ** (input_fraction + bits - 1)) + Fraction(bias, 2 ** (bits - 2))
        assert r.apply(acc) == min(max(math.floor(real * 2 ** (bits - 2) + HALF), lo), hi)


FAULTS = [
    ({"shift": 1.0}, "shift is 1.0, expected an integer"),
    ({"lo": True}, "lo is True, expected an integer"),
    ({"hi": np.float32(7)}, "hi is .*, expected an integer"),
    ({"hi": "7"}, "hi is '7', expected an integer"),
    ({"offset": None}, "offset is None, expected an integer"),
    ({"rounding": "round"}, "rounding 'round' is unknown; expected one of floor"),
    ({"overflow": "clip"}, "overflow 'clip' is unknown; expected one of saturate, wrap"),
    ({"shift": 62}, r"shift is 62, expected an integer in \[-61, 61\]"),
    ({"shift": -62}, r"shift is -62, expected an integer in \[-61, 61\]"),
    ({"hi": 1 << 31}, r"hi is 2147483648, expected an integer in \[-2147483648, 2147483647\]"),
    ({"lo": -(1 << 31) - 1}, "lo is -2147483649, expected an integer in"),
    ({"offset": -(1 << 31) - 1}, "offset is -2147483649, expected an integer in"),
    ({"lo": 8}, "lo 8 is above hi 7"),
    ({"lo": 1, "overflow": "wrap"}, r"wrap needs a power of two of values, \[1, 7\] has 7"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[str(change) for change, _ in FAULTS])
def test_requantizer_fault(change, message):
    with pytest.raises(InputError, match=f"^requantizer: {message}"):
        ShiftRequantizer(**{"shift": 2, "rounding": "floor", "lo": 0, "hi": 7, **change})


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [-61, -33, -1, 0, 1, 2, 5, 29, 30, 31, 45, 58, 59, 60, 61])
def test_thresholds_are_first_reaching_within_what_is_near(rounding, shift):
    largest = (1 << 31) - 1
    for lo, offset in itertools.product([-largest, -3, largest - 9], [-largest, -1, 0, 2, largest]):
        r = ShiftRequantizer(shift, rounding, lo, lo + 9, offset=offset)
        assert r.thresholds(1 << 61).tolist() == Requantizer.thresholds(r, 1 << 61).tolist()
