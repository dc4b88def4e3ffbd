"""Which networks are asked about: a format with B, the bits, and F, fractional ones, in it, and numbers for them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import ArgumentError
from ..quantize import Format, parse_format

# A letter that stands for a number, less something.
PLACE = re.compile(r"(?<![A-Za-z_])([BF])(?:-(\d{1,2}))?(?![A-Za-z_])")
MAX_WIDTHS = 1000


@dataclass(frozen=True)
class Width:
    """Bits, fractional bits where they are tried one by one, and the format that they make."""

    bits: int
    fraction: int | None
    text: str
    format: Format

    @property
    def stem(self) -> str:
        """The folder of its results."""
        return f"{self.bits}-bits" if self.fraction is None else f"{self.bits}-bits-{self.fraction}-fractional"


def widths_of(template: str, bits: Iterable[int], fractions: Iterable[int] | None = None) -> list[Width]:
    """Every width, from few bits to many, with all of its fractional bits: of "paper:B", "paper:B,F" or "power-of-two:B,input=u8.8".

    A template without F takes no fractions; one that has it needs them. Fractions beyond the bits are left out.
    """
    letters = {found[1] for found in PLACE.finditer(template)}
    if "B" not in letters:
        one = "; a format of one width is one network: quantize writes it, and verify asks about it"
        raise ArgumentError("format", f"{template!r}, expected B where the number of bits stands, as in paper:B{one}")
    if ("F" in letters) != (fractions is not None):
        said = "has F, expected numbers for it" if "F" in letters else "has no F, expected none"
        raise ArgumentError("fractions", f"the format {template!r} {said}")
    numbers = sorted(set(bits))
    pairs = [(b, f) for b in numbers for f in ([None] if fractions is None else sorted(set(fractions)))]
    kept = [(b, f) for b, f in pairs if f is None or f <= b]
    if not 0 < len(kept) <= MAX_WIDTHS:
        raise ArgumentError("widths", f"{len(kept)} widths with fractional bits, expected from 1 to {MAX_WIDTHS}")
    return [made(template, b, f) for b, f in kept]


def made(template: str, bits: int, fraction: int | None) -> Width:
    values = {"B": bits, "F": fraction}

    def number(found: re.Match[str]) -> str:
        value = (values[found[1]] or 0) - int(found[2] or 0)
        if value < 0:
            raise ArgumentError("format", f"{found[0]} of {template!r} is {value} at {bits} bits, expected at least 0")
        return str(value)

    text = PLACE.sub(number, template)
    return Width(bits, fraction, text, parse_format(text))
