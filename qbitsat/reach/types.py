"""What accumulators are kept in, in words: bits of two's complement, or an ap_fixed type, of all layers or of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..arithmetic.rounding import first_with_quotient
from ..errors import InputError, argument
from ..network.accumulating import steps_of_sums, types_by_layer
from ..network.layers import Layer
from ..quantize.numbers import ap_words

# Accumulators stay below 2**60: what is beyond holds them all.
MOST_BITS, BEYOND = 63, 1 << 61
# Bits of an ap_fixed, as AMD's headers have them.
MOST_AP = 1024


@dataclass(frozen=True)
class AccumulatorType:
    """A type by its name. Of bits of two's complement `whole` is None: integers as they are. Else q stands for q * 2**(whole - bits)."""

    name: str
    bits: int
    whole: int | None = None
    signed: bool = True
    rounding: str = "floor"
    overflow: str = "wrap"

    def limits(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest accumulator that it holds, for each of a layer: int64[n_out], 2**61 for what is beyond all.

        An accumulator is one exact sum, which the type rounds once. Raises `InputError` where its fractional bits are not known.
        """
        first = -(1 << (self.bits - 1)) + (self.overflow == "symmetric") if self.signed else 0
        last = (1 << (self.bits - self.signed)) - 1
        count = layer.affine.n_out
        if self.whole is None:
            return np.full(count, first), np.full(count, last)
        shifts = [f - (self.bits - self.whole) for f in fractions(layer)]
        ends = {s: (_first_rounded(first, s, self.rounding), _first_rounded(last + 1, s, self.rounding) - 1) for s in set(shifts)}
        lo, hi = zip(*(ends[s] for s in shifts), strict=True)
        least, most = (np.array([max(-BEYOND, min(BEYOND, v)) for v in side], np.int64) for side in (lo, hi))
        return np.resize(least, count), np.resize(most, count)

    def loses(self, layer: Layer) -> int:
        """Fractional bits of the sums that it has no room for: of these it rounds each term."""
        return 0 if self.whole is None else max(0, max(fractions(layer)) - (self.bits - self.whole))


def _first_rounded(q: int, shift: int, rounding: str) -> int:
    """The smallest integer that becomes at least q where it is rounded by 2**shift."""
    if shift > 0 and rounding in ("half_down", "half_zero"):
        tie_is_lost = rounding == "half_down" or q > 0
        return (q << shift) - (1 << (shift - 1)) + tie_is_lost
    return first_with_quotient(q, shift, rounding)


def fractions(layer: Layer) -> list[int]:
    """The fractional bits of a layer's accumulators, of all, or of each channel or output: real values are acc * 2**-fraction.

    A requantizer and the output's scale say what they mean. Raises `InputError` where one step is no power of two.
    """
    found = [_log2(step) for step in steps_of_sums(layer)]
    known = [-f for f in found if f is not None]
    if len(known) < len(found):
        raise InputError(
            f"layer {layer.name!r}: one step of its accumulators is no power of two, so that ap_fixed does not fit them; expected a number "
            "of bits, as in 16"
        )
    return known


def _log2(number: Fraction) -> int | None:
    """The exponent of a power of two."""
    up, down = number.numerator, number.denominator
    return up.bit_length() - down.bit_length() if up > 0 and not up & (up - 1) and not down & (down - 1) else None


def least_type(layer: Layer, lo: np.ndarray, hi: np.ndarray) -> AccumulatorType:
    """The ap_fixed type of the fewest bits that holds accumulators in [lo, hi], int64[n_out], exactly."""
    of = np.resize(fractions(layer), len(lo))
    bits = np.array([max((v if v >= 0 else ~v).bit_length() for v in ends) + 1 for ends in zip(lo.tolist(), hi.tolist(), strict=True)])
    whole, fraction = int((bits - of).max()), int(of.max())
    return AccumulatorType(f"ap_fixed<{whole + fraction},{whole}>", whole + fraction, whole)


@argument("width")
def parse_types(text: int | str, layers: Sequence[int]) -> dict[int, AccumulatorType]:
    """For each of these layers, by number, its type: 16, or ap_fixed<16,6>, of all; 0=16,2=ap_fixed<24,8> of single ones, 32 bits of the
    others; 24,0=16 both. Raises `InputError`.
    """
    return types_by_layer(str(text), layers, parse_type, parse_type("32"))


def parse_type(text: str) -> AccumulatorType:
    """Bits of two's complement, from 1 to 63, or an ap_fixed or ap_ufixed type."""
    if text.startswith("ap_"):
        words = ap_words(text)
        if not 1 <= words[0] <= MOST_AP:
            raise InputError(f"{text!r}, expected from 1 to {MOST_AP} bits")
        return AccumulatorType(text.replace(" ", ""), *words)
    if not re.fullmatch(r"\d{1,9}", text) or not 1 <= int(text) <= MOST_BITS:
        raise InputError(f"{text!r}, expected bits from 1 to {MOST_BITS}, or a type as in ap_fixed<16,6>")
    return AccumulatorType(text, int(text))
