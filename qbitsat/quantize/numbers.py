"""Fixed-point numbers: how a real number becomes an integer of so many bits, exactly."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from ..arithmetic import INT32, integer, wrap
from ..arithmetic import ROUNDINGS as STEP_ROUNDINGS
from ..errors import InputError, UnsupportedError, unknown

# half_down and half_zero are nearest, too: ties to -infinity and to zero.
ROUNDINGS = (*STEP_ROUNDINGS, "half_down", "half_zero")
# symmetric saturates and leaves out the least integer; zero makes everything that does not fit 0.
OVERFLOWS = ("saturate", "wrap", "symmetric", "zero")
MAX_BITS, MAX_FRACTION = 32, 40

# The words of ap_fixed<W, I, Q, O> (AMD's ap_types), and ours.
AP_ROUNDINGS = {
    "TRN": "floor", "TRN_ZERO": "toward_zero", "RND": "half_up", "RND_ZERO": "half_zero", "RND_INF": "half_away",
    "RND_MIN_INF": "half_down", "RND_CONV": "half_even",
}  # fmt: skip
AP_OVERFLOWS = {"WRAP": "wrap", "SAT": "saturate", "SAT_SYM": "symmetric", "SAT_ZERO": "zero"}


@dataclass(frozen=True)
class Fixed:
    """Integers q of so many bits, `fraction` of them fractional: q stands for q * 2**-fraction. fraction None: it is calibrated.

    rounding and overflow say how a number with more bits becomes one of these.
    """

    bits: int
    fraction: int | None
    signed: bool = True
    rounding: str = "half_away"
    overflow: str = "saturate"

    def __post_init__(self):
        least = 1 + (self.signed and self.overflow == "symmetric")
        # Values are 32-bit words with a sign.
        most = MAX_BITS if self.signed else MAX_BITS - 1
        what = "bits with a sign" if self.signed else "bits without a sign"
        object.__setattr__(self, "bits", integer(self.bits, what, least, most))
        if self.fraction is not None:
            object.__setattr__(self, "fraction", integer(self.fraction, "fractional bits", -MAX_FRACTION, MAX_FRACTION))
        for name, words in (("rounding", ROUNDINGS), ("overflow", OVERFLOWS)):
            if getattr(self, name) not in words:
                raise unknown(name, getattr(self, name), words)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}.{'?' if self.fraction is None else self.fraction}"

    @property
    def lo(self) -> int:
        return (-(1 << (self.bits - 1)) + (self.overflow == "symmetric")) if self.signed else 0

    @property
    def hi(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def places(self) -> int:
        """The fractional bits, which are known by now."""
        assert self.fraction is not None
        return self.fraction

    @property
    def step(self) -> float:
        """The real value of one step."""
        return 2.0**-self.places

    def whole(self, values: np.ndarray) -> np.ndarray:
        """values * 2**fraction rounded, as float64: what has to fit into [lo, hi]."""
        return rounded(np.ldexp(np.asarray(values, np.float64), self.places), self.rounding)

    def outside(self, values: np.ndarray) -> np.ndarray:
        """Which values do not fit."""
        whole = self.whole(values)
        return (whole < self.lo) | (whole > self.hi)

    def integers(self, values: np.ndarray) -> np.ndarray:
        """The integers of finite real numbers, int64 of the same shape."""
        whole = self.whole(values)
        if self.overflow == "wrap":
            # The remainder of floats is exact.
            return wrap(np.fmod(whole, 2.0**self.bits).astype(np.int64), self.lo, self.hi)
        inside = np.clip(whole, self.lo, self.hi)
        if self.overflow == "zero":
            inside = np.where(inside == whole, inside, 0)
        return inside.astype(np.int64)

    def with_fraction(self, fraction: int) -> Fixed:
        return replace(self, fraction=fraction)


def rounded(scaled: np.ndarray, rounding: str) -> np.ndarray:
    """Whole float64 numbers near `scaled`, by the name of a rounding; exact: a float's parts before and behind the point are floats."""
    rest, whole = np.modf(scaled)
    tie, beyond = np.abs(rest) == 0.5, np.abs(rest) > 0.5
    away = {
        "floor": rest < 0,
        "toward_zero": np.zeros(np.shape(rest), bool),
        "half_up": beyond | (tie & (rest > 0)),
        "half_down": beyond | (tie & (rest < 0)),
        "half_away": beyond | tie,
        "half_zero": beyond,
        "half_even": beyond | (tie & (np.fmod(whole, 2) != 0)),
    }[rounding]
    return whole + np.sign(rest) * away


def parse_fixed(text: str, default: Fixed) -> Fixed:
    """A number's format in words: 6 (bits, all else as the default), u8.8 or s8.6 (bits and fractional bits), or
    ap_fixed<W,I,Q,O> or ap_ufixed<...> of so many integer bits I.
    """
    text = text.strip()
    if re.fullmatch(r"\d{1,3}", text):
        return replace(default, bits=int(text))
    found = re.fullmatch(r"([us])(\d{1,3})\.(-?\d{1,3})", text)
    if found:
        return replace(default, bits=int(found[2]), fraction=int(found[3]), signed=found[1] == "s")
    if not text.startswith("ap_"):
        raise InputError(f"{text!r}, expected bits as in 6, bits and fractional bits as in u8.8 or s8.6, or ap_fixed<W,I,Q,O>")
    return parse_ap(text)


def parse_ap(text: str) -> Fixed:
    """ap_fixed<W,I,Q,O> and ap_ufixed<W,I,Q,O>; Q is TRN and O is WRAP where they are left out, as in AMD's headers."""
    bits, whole, signed, rounding, overflow = ap_words(text)
    return Fixed(bits, bits - whole, signed, rounding, overflow)


def ap_words(text: str) -> tuple[int, int, bool, str, str]:
    """Of such a type W, I, whether it has a sign, its rounding and its overflow, however wide it is."""
    found = re.fullmatch(r"ap_(u?)fixed<\s*(\d{1,3})\s*,\s*(-?\d{1,3})\s*(?:,\s*(\w+)\s*)?(?:,\s*(\w+)\s*)?>", text)
    if not found:
        raise InputError(f"{text!r}, expected ap_fixed<W,I>, ap_fixed<W,I,Q> or ap_fixed<W,I,Q,O>, or ap_ufixed")
    modes = []
    for word, words, default in ((found[4], AP_ROUNDINGS, "TRN"), (found[5], AP_OVERFLOWS, "WRAP")):
        word = (word or default).removeprefix("AP_")
        if word == "WRAP_SM":
            raise UnsupportedError(f"{text}: AP_WRAP_SM, whose sign comes from bits before the rounding; expected {', '.join(words)}")
        if word not in words:
            raise unknown(f"{text}: mode", word, words)
        modes.append(words[word])
    return int(found[2]), int(found[3]), not found[1], modes[0], modes[1]


def fits_int32(lo: int, hi: int) -> bool:
    return INT32[0] <= lo and hi <= INT32[1]
