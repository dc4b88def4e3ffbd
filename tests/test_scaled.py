"""Requantizers by multiplier, float32, divisor and table, against their definitions written another way."""

import dataclasses
import itertools
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest

from qbitsat.arithmetic import (
    FORMS,
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
    saturate,
)
from qbitsat.errors import InputError

INT8 = (-128, 127)
FAR = 1 << 61
INT32_TOP = (1 << 31) - 1


def half_up(q: Fraction) -> int:
    return math.floor(q + Fraction(1, 2))


def half_away(q: Fraction) -> int:
    return half_up(q) if q >= 0 else -half_up(-q)


def scaled(acc: int, multiplier: int, shift: int, form: str) -> int:
    """R(acc), on fractions."""
    left, right = max(shift, 0), max(-shift, 0)
    exact = Fraction(acc * multiplier) * Fraction(2) ** (shift - 31)
    if form in ("half_up", "half_away"):
        return half_up(exact) if form == "half_up" else half_away(exact)
    first = Fraction(half_up(Fraction((acc << left) * multiplier, 1 << 31)), 1 << right)
    return half_away(first) if form == "double" else half_up(first)


def nearest_of(bits: int, q: Fraction) -> Fraction:
    """The nearest number of so many bits, ties to even; exponents have no limit."""
    if not q:
        return q
    exponent = abs(q.numerator).bit_length() - q.denominator.bit_length() - bits
    exponent += abs(q) >= Fraction(2) ** (exponent + bits)
    return round(q / Fraction(2) ** exponent) * Fraction(2) ** exponent


def float32_value(acc: int, scale: float, bias: float) -> Fraction:
    """float32(acc) * scale + bias."""
    product = nearest_of(24, nearest_of(24, Fraction(acc)) * Fraction(scale))
    return nearest_of(24, product + Fraction(bias))


def multipliers(rng: random.Random):
    """Ordinary scales of every form, and extreme ones."""
    for form in FORMS:
        for _ in range(10):
            yield MultiplierRequantizer(rng.randrange(1 << 30, 1 << 31), rng.randint(-16, 1), form, *INT8, rng.randint(-128, 127))
        for multiplier, shift in itertools.product((1, 3, 1 << 30, INT32_TOP), (-62, -40, -31, -1, 0, 1, 2, 30)):
            yield MultiplierRequantizer(
                multiplier, shift, form, *rng.choice((INT8, (0, 127), (-3, -3), (-INT32_TOP, 7 - INT32_TOP))), rng.choice((-128, 0, 5))
            )


def floats(rng: random.Random):
    for _ in range(8):
        yield Float32Requantizer(float(np.float32(2.0 ** rng.uniform(-14, 2))), *INT8, rng.randint(-128, 127))
    for bias in (-0.25, 3.5, 1000.75, -1e9, 2.0**-149):
        yield Float32Requantizer(float(np.float32(2.0 ** rng.uniform(-14, 2))), *INT8, 0, float(np.float32(bias)))
    for scale in (2.0**-126, 1.3e-11, 2.0**-32, 0.125, 0.5, 1.0, 3.0, 255.0, 2.0**40, 3.4e38):
        yield Float32Requantizer(
            float(np.float32(scale)), *rng.choice((INT8, (0, 127), (5, 5), (-INT32_TOP, 7 - INT32_TOP))), rng.choice((-128, 0, 5))
        )


def doubles(rng: random.Random):
    for _ in range(8):
        yield Float64Requantizer(2.0 ** rng.uniform(-14, 2), *INT8, rng.randint(-128, 127))
    for scale in (2.0**-128, 1.3e-11, 0.125, 1.0, 255.0, 2.0**128):
        yield Float64Requantizer(scale, *rng.choice((INT8, (0, 127), (5, 5), (-INT32_TOP, 7 - INT32_TOP))), rng.choice((-128, 0, 5)))


def divisions(_rng):
    for divisor, (lo, hi) in itertools.product((1, 2, 3, 4, 9, 49, 64, INT32_TOP), (INT8, (-5, -3), (0, 0), (INT32_TOP - 4, INT32_TOP))):
        yield DivisionRequantizer(divisor, lo, hi)


def tables(rng: random.Random):
    for size in (1, 2, 16, 256):
        for first in (-128, 0, -INT32_TOP - 1, INT32_TOP):
            yield TableRequantizer(first, tuple(sorted(rng.choices(range(-40, 40, 3), k=size))))


def thresholds(rng: random.Random):
    for size, bits in ((1, 4), (2, 8), (16, 31), (255, 50)):
        for lo in (-128, 0, -INT32_TOP):
            yield ThresholdRequantizer(lo, tuple(sorted(rng.randint(-1 << bits, 1 << bits) for _ in range(size))))


KINDS = {"multiplier": multipliers, "float32": floats, "float64": doubles, "division": divisions, "table": tables, "threshold": thresholds}
every_kind = pytest.mark.parametrize("kind", KINDS)


def near_steps(r: Requantizer, rng: random.Random, limit: int) -> list[int]:
    """Accumulators beside the thresholds, and others, within a limit."""
    levels = range(r.lo + 1, r.hi + 1)
    chosen = rng.sample(levels, min(8, len(levels)))
    near = [r.first_reaching(y) + d for y in chosen for d in (-2, -1, 0, 1)]
    near += [sign * rng.randrange(1 << bits) for bits in (1, 8, 16, 24, 31, 45, 60) for sign in (1, -1)]
    return [acc for acc in near if abs(acc) <= limit]


def test_multiplier_is_its_definition():
    rng = random.Random(1)
    for r in multipliers(rng):
        for acc in near_steps(r, rng, 1 << 130):
            expected = saturate(scaled(acc, r.multiplier, r.shift, r.form) + r.offset, r.lo, r.hi)
            assert r.apply(acc) == expected, (r, acc)


@pytest.mark.parametrize(
    ("acc", "values"),
    [(4, (1, 1, 1, 1)), (3, (1, 1, 0, 0)), (-4, (-1, 0, 0, -1)), (-5, (-1, 0, -1, -1)), (-3, (0, 0, 0, 0)), (12, (2, 2, 2, 2))],
)
def test_multiplier_forms_differ_at_an_eighth(acc, values):
    found = tuple(MultiplierRequantizer(1 << 30, -2, form, *INT8).apply(acc) for form in FORMS)
    assert found == values


def test_float32_is_its_definition():
    rng = random.Random(2)
    for r in floats(rng):
        for acc in near_steps(r, rng, 1 << 100):
            expected = saturate(round(float32_value(acc, r.scale, r.bias)) + r.offset, r.lo, r.hi)
            assert r.apply(acc) == expected, (r, acc)


def test_float64_is_its_definition():
    rng = random.Random(9)
    for r in doubles(rng):
        for acc in near_steps(r, rng, 1 << 200):
            value = nearest_of(53, nearest_of(53, Fraction(acc)) * Fraction(r.scale))
            assert r.apply(acc) == saturate(half_away(value) + r.offset, r.lo, r.hi), (r, acc)


@pytest.mark.parametrize(("acc", "y"), [(1, 1), (3, 2), (-1, -1), (-3, -2), (10**400, 127), (-(10**400), -128)])
def test_float64_ties_away_from_zero(acc, y):
    assert Float64Requantizer(0.5, *INT8).apply(acc) == y


@pytest.mark.parametrize(("acc", "y"), [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2), (-5, -2)])
def test_float32_ties_to_even(acc, y):
    assert Float32Requantizer(0.5, *INT8).apply(acc) == y


def test_float32_conversion_rounds_beyond_24_bits():
    r = Float32Requantizer(1.0, -(1 << 31), INT32_TOP)
    assert [r.apply((1 << 24) + d) - (1 << 24) for d in range(5)] == [0, 0, 2, 4, 4]
    assert r.apply(10**60) == INT32_TOP
    assert r.apply(-(10**60)) == -(1 << 31)


def test_division_is_its_definition():
    rng = random.Random(3)
    for r in divisions(rng):
        for acc in near_steps(r, rng, 1 << 100):
            assert r.apply(acc) == saturate(half_away(Fraction(acc, r.divisor)), r.lo, r.hi), (r, acc)


def test_table_is_its_values():
    r = TableRequantizer(-2, (1, 1, 4, 9))
    assert [r.apply(acc) for acc in range(-5, 5)] == [1, 1, 1, 1, 1, 4, 9, 9, 9, 9]
    assert (r.lo, r.hi, r.first_reaching(2), r.first_reaching(9)) == (1, 9, 0, 1)


def test_threshold_is_what_is_reached():
    r = ThresholdRequantizer(-2, (-(1 << 62), -5, 3, 3, 1 << 62))
    assert [r.apply(acc) for acc in (-(1 << 60), -6, -5, 2, 3, 1 << 60)] == [-1, -1, 0, 0, 2, 2]
    assert (r.lo, r.hi, r.first_reaching(-1), r.first_reaching(3)) == (-2, 3, -(1 << 62), 1 << 62)


@every_kind
def test_arrays_are_as_integers(kind):
    rng = random.Random(4)
    for r in KINDS[kind](rng):
        accs = near_steps(r, rng, FAR)
        found = r.apply(np.array(accs, np.int64).reshape(-1, 1))
        assert found.dtype == np.int64
        assert found.shape == (len(accs), 1)
        assert found.ravel().tolist() == [r.apply(acc) for acc in accs], r


@every_kind
def test_first_reaching_is_the_smallest(kind):
    rng = random.Random(5)
    for r in KINDS[kind](rng):
        for y in range(r.lo + 1, r.hi + 1):
            acc = r.first_reaching(y)
            assert r.apply(acc) >= y > r.apply(acc - 1), (r, y)


@every_kind
@pytest.mark.parametrize("far", [FAR, 1 << 31, 1000])
def test_thresholds_are_first_reaching(kind, far):
    rng = random.Random(6)
    for r in KINDS[kind](rng):
        found = r.thresholds(far)
        assert found.dtype == np.int64
        assert found.tolist() == Requantizer.thresholds(r, far).tolist(), r


@every_kind
def test_levels_outside_are_refused(kind):
    r = next(KINDS[kind](random.Random(7)))
    for y in (r.lo, r.hi + 1):
        with pytest.raises(ValueError, match="expected a monotone requantizer"):
            r.first_reaching(y)


@pytest.mark.parametrize("form", FORMS)
def test_multiplier_of_zero_has_one_level(form):
    r = MultiplierRequantizer(0, 0, form, -4, 3, 1)
    assert [r.apply(acc) for acc in (-(1 << 60), 0, 1 << 60)] == [1, 1, 1]
    assert r.apply(np.array([-FAR, 5])).tolist() == [1, 1]
    assert r.thresholds(FAR).tolist() == [-FAR] * 5 + [FAR] * 2
    assert [r.first_reaching(y) for y in (-3, 1, 2, 3)] == [-(1 << 62), -(1 << 62), 1 << 62, 1 << 62]


@every_kind
def test_requantizers_are_frozen_values(kind):
    for r in KINDS[kind](random.Random(8)):
        assert pickle.loads(pickle.dumps(r)) == r
        assert hash(dataclasses.replace(r)) == hash(r)


def test_accumulator_limits():
    assert MultiplierRequantizer(1 << 30, -3, "double", *INT8, 5).acc_limit == INT32_TOP - 5
    assert MultiplierRequantizer(1 << 30, 2, "double", *INT8).acc_limit == INT32_TOP >> 2
    assert Float32Requantizer(0.5, *INT8).acc_limit == INT32_TOP
    assert DivisionRequantizer(9, *INT8).acc_limit == INT32_TOP - 4
    assert TableRequantizer(0, (1, 2)).acc_limit == (1 << 60) - 1


MULTIPLIER = (MultiplierRequantizer, {"multiplier": 1 << 30, "shift": 0, "form": "double", "lo": 0, "hi": 7})
FLOAT32 = (Float32Requantizer, {"scale": 0.5, "lo": 0, "hi": 7})
FLOAT64 = (Float64Requantizer, {"scale": 0.5, "lo": 0, "hi": 7})
DIVISION = (DivisionRequantizer, {"divisor": 3, "lo": 0, "hi": 7})
TABLE = (TableRequantizer, {"first": 0, "values": (0, 1)})
THRESHOLD = (ThresholdRequantizer, {"lo": 0, "firsts": (0, 1)})
FAULTS = [
    (MULTIPLIER, {"multiplier": -1}, r"multiplier is -1, expected an integer in \[0, 2147483647\]"),
    (MULTIPLIER, {"multiplier": 1 << 31}, "multiplier is 2147483648"),
    (MULTIPLIER, {"multiplier": 0.5}, "multiplier is 0.5"),
    (MULTIPLIER, {"shift": 31}, r"shift is 31, expected an integer in \[-62, 30\]"),
    (MULTIPLIER, {"shift": -63}, "shift is -63"),
    (MULTIPLIER, {"form": "gemmlowp"}, "form 'gemmlowp' is unknown; expected one of double, half_up_twice"),
    (MULTIPLIER, {"lo": 8}, "lo 8 is above hi 7"),
    (MULTIPLIER, {"offset": 1 << 31}, "offset is 2147483648"),
    *[(FLOAT32, {"scale": scale}, f"scale is {scale!r}, expected a positive normal float32") for scale in (0.0, -1.0, 0.1, 1e-40)],
    *[(FLOAT32, {"scale": scale}, "scale is .*, expected a positive") for scale in (math.nan, math.inf, 1e39, True, "1", None, 1 << 2000)],
    *[(FLOAT32, {"bias": bias}, f"bias is {bias!r}, expected a float32") for bias in (0.1, math.nan, math.inf, "1", None)],
    *[(FLOAT64, {"scale": scale}, "scale is .*, expected a float64 from") for scale in (0.0, -1.0, 1e-39, 1e39, math.inf, math.nan, None)],
    (FLOAT32, {"hi": 1 << 31}, "hi is 2147483648"),
    (DIVISION, {"divisor": 0}, r"divisor is 0, expected an integer in \[1, 2147483647\]"),
    (DIVISION, {"lo": 1.5}, "lo is 1.5"),
    (TABLE, {"first": 1 << 31}, "first is 2147483648"),
    (TABLE, {"values": ()}, "values are a tuple of nothing, expected 1 to 65536 integers"),
    (TABLE, {"values": (1, 3, 2)}, r"values\[2\] is 2, expected at least the 3 before it"),
    (TABLE, {"values": (1, 1 << 31)}, r"values\[1\] is 2147483648"),
    (TABLE, {"values": "12"}, "values are '12'"),
    (TABLE, {"values": 12}, "values are 12"),
    (THRESHOLD, {"lo": INT32_TOP}, "hi is 2147483649"),
    (THRESHOLD, {"firsts": (1, 0)}, r"firsts\[1\] is 0, expected at least the 1 before it"),
    (THRESHOLD, {"firsts": ((1 << 62) + 1,)}, r"firsts\[0\] is 4611686018427387905"),
    (THRESHOLD, {"firsts": "12"}, "firsts are '12'"),
]


@pytest.mark.parametrize(("kind", "change", "message"), FAULTS, ids=[f"{kind[0].__name__} {change}"[:60] for kind, change, _ in FAULTS])
def test_fault(kind, change, message):
    with pytest.raises(InputError, match=f"^requantizer: {message}"):
        kind[0](**{**kind[1], **change})


def test_slopes_are_outputs_for_one_accumulator():
    scaled = MultiplierRequantizer(3 << 29, -2, "double", -8, 7)
    assert scaled.slope == pytest.approx(0.75 / 4, rel=0.05)
    assert ShiftRequantizer(3, "floor", 0, 15, "wrap").slope == ShiftRequantizer(3, "floor", 0, 15).slope == 1 / 8
    assert DivisionRequantizer(9, -8, 7).slope == pytest.approx(1 / 9)
    assert DivisionRequantizer(9, 0, 1).slope == 1
    for offset in (-9, 0, 9):
        assert MultiplierRequantizer(0, 0, "double", -8, 7, offset).slope < 1e-9
