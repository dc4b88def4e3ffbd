"""What is known of each width, and what that says of the target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..verify import HOLDS, MISCLASSIFIED, UNKNOWN, VIOLATED, Verdict
from .fairness import WidthGap
from .widths import Width

# Engines whose violations an attack finds by itself: where bounds refute, every input is one.
ATTACKS = ("attack", "bounds")


@dataclass(frozen=True)
class WidthResult:
    """The samples of one width: how many hold, are violated, stay open or are misclassified, and what an attack alone would say.

    accuracy is that on all inputs with labels, None without labels; attacked is how many violations the attack found by itself; clipped are
    weights and biases. Robust is what is classified as its label, and keeps that within the distance. gap is how far protected features
    alone move the outputs, None where that is not asked.
    """

    width: Width
    network_sha256: str
    accuracy: float | None
    clipped: int
    holds: int
    violated: int
    unknown: int
    misclassified: int
    attacked: int
    seconds: float
    gap: WidthGap | None = None

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.holds + self.violated + self.unknown + self.misclassified

    @property
    def lower(self) -> float:
        """The part of the samples that is proved robust."""
        return self.holds / self.samples

    @property
    def upper(self) -> float:
        """The part that can be robust: what is open may be."""
        return (self.holds + self.unknown) / self.samples

    @property
    def by_attack(self) -> float:
        """What an attack alone reports as robust: all that it finds no violation of."""
        return (self.samples - self.misclassified - self.attacked) / self.samples

    def as_json(self) -> dict[str, Any]:
        """As it stands in bits.json."""
        entry = {name: value for name, value in asdict(self).items() if name != "width"}
        robust = {"robust_lower": self.lower, "robust_upper": self.upper, "robust_by_attack": self.by_attack}
        return {"bits": self.width.bits, "fraction": self.width.fraction, "format": self.width.text, **entry, **robust}


def counted(
    width: Width,
    sha256: str,
    accuracy: float | None,
    clipped: int,
    verdicts: Iterable[Verdict],
    seconds: float,
    gap: WidthGap | None = None,
) -> WidthResult:
    found = list(verdicts)
    holds, violated, unknown, missed = (sum(v.verdict == word for v in found) for word in (HOLDS, VIOLATED, UNKNOWN, MISCLASSIFIED))
    attacked = sum(v.verdict == VIOLATED and v.engine in ATTACKS for v in found)
    return WidthResult(width, sha256, accuracy, clipped, holds, violated, unknown, missed, attacked, seconds, gap)


@dataclass(frozen=True)
class Answer:
    """smallest: the fewest bits that reach the target for certain, None where none is known to; missed: bits that certainly don't, with
    any fractional bits that were tried; open: bits of which that is not known.
    """

    target: float
    smallest: int | None
    missed: tuple[int, ...]
    open: tuple[int, ...]

    def __str__(self) -> str:
        words = f"{self.target:g} of the samples are robust"
        if self.smallest is None:
            said = f"no width is known for which {words}" if self.open else f"there is no width here for which {words}"
        else:
            said = f"{self.smallest} bits: the fewest for which it is proved that {words}"
        fewer = [b for b in self.open if self.smallest is None or b < self.smallest]
        if self.missed:
            said += f"; certainly not: {', '.join(map(str, self.missed))}"
        return said + (f"; open: {', '.join(map(str, fewer))}" if fewer else "")


def answer(results: Sequence[WidthResult], target: float) -> Answer:
    """A width reaches the target if it does with some of its fractional bits, and misses it if it does with all of them."""
    by_bits: dict[int, list[WidthResult]] = {}
    for result in results:
        by_bits.setdefault(result.width.bits, []).append(result)
    reached = [bits for bits, found in by_bits.items() if any(r.lower >= target for r in found)]
    missed = [bits for bits, found in by_bits.items() if all(r.upper < target for r in found)]
    rest = [bits for bits in by_bits if bits not in reached and bits not in missed]
    return Answer(target, min(reached, default=None), tuple(sorted(missed)), tuple(sorted(rest)))


@dataclass(frozen=True)
class Bits:
    """results in the order of widths; float_accuracy is the model's on all inputs with labels, None without labels."""

    answer: Answer
    results: tuple[WidthResult, ...]
    float_accuracy: float | None
    eps: int
    ties: str
    samples: tuple[int, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """As it stands in bits.json."""
        return {
            "answer": {**asdict(self.answer), "text": str(self.answer)},
            "float_accuracy": self.float_accuracy,
            "eps": self.eps,
            "ties": self.ties,
            "samples": list(self.samples),
            "seconds": self.seconds,
            "widths": [result.as_json() for result in self.results],
        }
