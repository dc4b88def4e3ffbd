"""A width of its own for the weights of each layer: the fewest weight bits with which the target is proved, and that no fewer do.

Robustness does not grow with bits, so nothing narrower is ruled out by what is wider: every choice of widths that takes fewer bits is
refuted by itself, by samples that are misclassified or violated. Most take no proof for that: accuracy, or what broke other choices.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, InputError
from ..network.float_network import FloatConvolution, FloatDense, FloatNetwork
from ..properties.robustness import ARGMAX
from ..quantize import FixedPoint, parse_format
from ..quantize.prepare import prepared
from .result import WidthResult
from .sweep import Noted, Sweep, check_target
from .widths import PLACE, Width

REACHED, MISSED, OPEN = "reached", "missed", "open"


@dataclass(frozen=True)
class Trial:
    """A choice of bits for the weights of each layer, how many weight bits that are, what came of it, and the samples that say so."""

    bits: tuple[int, ...]
    weight_bits: int
    outcome: str
    result: WidthResult

    def as_json(self) -> dict[str, Any]:
        """As it stands in bits.json."""
        return {"bits": list(self.bits), "weight_bits": self.weight_bits, "outcome": self.outcome, **self.result.as_json()}


@dataclass(frozen=True)
class Mixed:
    """found is the choice of fewest weight bits that reaches the target for certain, None where none is known to. trials are all choices
    in the order of their weight bits, up to that one: the others miss it for certain, or are open.

    layers are those with weights, and weights how many each has.
    """

    target: float
    layers: tuple[str, ...]
    weights: tuple[int, ...]
    found: Trial | None
    trials: tuple[Trial, ...]
    seconds: float

    @property
    def open(self) -> tuple[Trial, ...]:
        """Those that are not decided."""
        return tuple(trial for trial in self.trials if trial.outcome == OPEN)

    @property
    def mean(self) -> float | None:
        """Bits of a weight, on average."""
        return None if self.found is None else self.found.weight_bits / sum(self.weights)

    def __str__(self) -> str:
        words = f"{self.target:g} of the samples are robust"
        missed = sum(trial.outcome == MISSED for trial in self.trials)
        if self.found is None or self.mean is None:
            return f"no choice of bits is known to reach it: {words}; {missing(len(self.trials), missed, 'only choice', 'choices')}"
        chosen = ", ".join(f"{name} {bits}" for name, bits in zip(self.layers, self.found.bits, strict=True))
        fewest = "the fewest" if not self.open else "the fewest known"
        other = [f"other {word} with at most as many" for word in ("choice", "choices")]
        others = len(self.trials) - 1
        fewer = missing(others, missed, *other) if others else "no other choice has as few"
        return f"{chosen}: {self.mean:.2f} bits a weight, {fewest} for which it is proved that {words}; {fewer}"

    def as_json(self) -> dict[str, Any]:
        """As it stands in bits.json."""
        answer = {"text": str(self), "target": self.target, "layers": self.layers, "weights": self.weights, "seconds": self.seconds}
        bits = None if self.found is None else list(self.found.bits)
        return {"answer": {**answer, "bits": bits, "mean": self.mean}, "trials": [trial.as_json() for trial in self.trials]}


def mixed_bits(
    model: FloatNetwork,
    inputs: Any,
    labels: Any,
    eps: int,
    *,
    target: float = 0.9,
    ties: str = ARGMAX,
    widths: Iterable[int] = range(2, 9),
    format: str = "power-of-two:8,input=u8.8",
    samples: Sequence[int] | None = None,
    calibration: Any = None,
    method: str | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    told: Callable[[Trial], object] | None = None,
    noted: Noted | None = None,
    **options: Any,
) -> Mixed:
    """The fewest bits of weights with which `target` of the samples are robust, each layer's of one of the widths: all else is as `format`
    says, which has no B. See `bits` for the rest. told is called with each choice as it is decided.

    Choices are tried from few weight bits to many, each until it is decided. One is missed when too many samples are misclassified or
    violated, by witnesses of other choices first; the first one that is reached is the answer.
    """
    check_target(target)
    check_format(format)
    start, sweep = time.monotonic(), Sweep(model, inputs, labels, eps, samples, calibration, method, out, resume, overwrite, options, ties)
    sweep.attacks, sweep.noted = False, noted or sweep.noted
    layers = [layer for layer in prepared(model)[0].layers if isinstance(layer, FloatDense | FloatConvolution)]
    if not layers:
        raise InputError(f"bits: {model.place}: no layer has weights, expected some")
    names, sizes = tuple(layer.name for layer in layers), tuple(layer.weights.size for layer in layers)
    trials: list[Trial] = []
    for bits in choices(sizes, widths):
        trials.append(tried(sweep, bits, width_of(format, names, bits, sizes), target))
        if told is not None:
            told(trials[-1])
        if trials[-1].outcome == REACHED:
            break
    found = trials[-1] if trials[-1].outcome == REACHED else None
    made = Mixed(target, names, sizes, found, tuple(trials), time.monotonic() - start)
    sweep.summarize(made.as_json())
    return made


def check_format(format: str) -> None:
    """Raise for a format that leaves no width of weights to each layer."""
    if PLACE.search(format):
        raise ArgumentError("format", f"{format!r}, expected one without B and F: the widths are those of the weights of each layer")
    if not isinstance(parse_format(format), FixedPoint):
        raise ArgumentError(
            "format", f"{format!r}, whose weights have no width to choose; expected a fixed-point format, as in power-of-two:8,input=u8.8"
        )


def missing(count: int, missed: int, one: str, several: str) -> str:
    """That of so many choices so many miss the target, in words; the others are open."""
    if count == missed:
        return f"the {one} certainly misses it" if count == 1 else f"all {count} {several} certainly miss it"
    said = "misses" if missed == 1 else "miss"
    return f"of {count} {several if count > 1 else one} {missed} certainly {said} it, {count - missed} open"


def choices(sizes: Sequence[int], widths: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """All choices of a width for each layer, from few weight bits to many; those that are as many in the order of the first layers' bits.

    Each choice but the first comes from one with fewer weight bits: the last layer that is not at its least width takes one step back. So a
    heap of what comes from those that are done has the next one, whatever the number of all.
    """
    numbers = sorted(set(widths))
    if not numbers:
        raise ArgumentError("widths", "0 for each layer, expected at least one")
    waiting = [(numbers[0] * sum(sizes), (numbers[0],) * len(sizes), (0,) * len(sizes))]
    while waiting:
        _, bits, steps = heapq.heappop(waiting)
        yield bits
        last = max((k for k, step in enumerate(steps) if step), default=0)
        for k in range(last, len(sizes)):
            if steps[k] + 1 < len(numbers):
                further = (*steps[:k], steps[k] + 1, *steps[k + 1 :])
                wider = tuple(numbers[step] for step in further)
                heapq.heappush(waiting, (sum(b * n for b, n in zip(wider, sizes, strict=True)), wider, further))


def width_of(format: str, names: Sequence[str], bits: tuple[int, ...], sizes: Sequence[int]) -> Width:
    """The choice as a format; its bits are all those of weights."""
    text = ",".join([format, *(f"{name}.weights={b}" for name, b in zip(names, bits, strict=True))])
    return MixedWidth(int(np.dot(bits, sizes)), None, text, parse_format(text), "-".join(map(str, bits)))


@dataclass(frozen=True)
class MixedWidth(Width):
    """A width that is called by the bits of all layers."""

    called: str = ""

    @property
    def stem(self) -> str:
        return f"{self.called}-bits"


def tried(sweep: Sweep, bits: tuple[int, ...], width: Width, target: float) -> Trial:
    """What comes of a choice."""
    entry = sweep.prepared(width)
    entry.verdicts.update((task.index, task.settled) for task in entry.tasks if task.settled is not None)

    def outcome() -> str:
        result = entry.result
        return REACHED if result.lower >= target else MISSED if result.upper < target else OPEN

    if outcome() == OPEN:
        entry.verdicts.clear()
        sweep.verify(entry, enough=lambda: outcome() != OPEN)
    return Trial(bits, width.bits, outcome(), entry.result)
