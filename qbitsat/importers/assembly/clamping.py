"""Integers that are clamped once more, as those of fewer than 8 bits that a file stores in 8."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...arithmetic import Requantizer, ShiftRequantizer, TableRequantizer, ThresholdRequantizer
from ...network import TensorFormat
from .builder import Builder
from .summing import once
from .wires import Wires


def clamped(b: Builder, name: str, wires: Wires, ends: tuple[int, int], form: TensorFormat, alone: bool) -> Wires:
    """The elements in [lo, hi]. Where nothing in the file reads them otherwise (alone), what makes them clamps as well; else it is a layer.

    form is what they mean.
    """
    if alone and _narrow(b, np.unique(wires.values[~wires.fixed]), ends):
        return Wires(wires.values, np.where(wires.fixed, np.clip(wires.constants, *ends), 0))
    return once(b, name, wires, 1, 0, ShiftRequantizer(0, "floor", *ends), form)


def _narrow(b: Builder, values: np.ndarray, ends: tuple[int, int]) -> bool:
    """Clamp an input, or the outputs of one layer, where they are made; False if values are no such thing, or a layer reads them."""
    if not len(values) or any(np.isin(reads, values).any() for reads in b.reads):
        return False
    sizes = [*(form.size for form in b.forms), *(layer.output.size for layer in b.layers)]
    firsts = np.cumsum([0, *sizes])
    k = int(np.searchsorted(firsts, values[0], side="right")) - 1
    if not np.array_equal(values, np.arange(firsts[k], firsts[k + 1])):
        return False
    if k < len(b.inputs):
        form = b.inputs[k]
        lo, hi = np.clip((form.lo, form.hi), *ends).tolist()
        b.inputs[k] = replace(form, lo=lo, hi=hi)
        return True
    layer = b.layers[k - len(b.inputs)]
    if not all(map(_has_ends, layer.requantizers)):
        return False
    steps = tuple(_narrowed(step, ends) for step in layer.requantizers)
    output = replace(layer.output, lo=min(step.lo for step in steps), hi=max(step.hi for step in steps))
    b.layers[k - len(b.inputs)] = replace(layer, output=output, requantizers=steps)
    return True


def _has_ends(step: Requantizer) -> bool:
    """Whether it saturates, so that saturating sooner is all that a clamp does."""
    return not isinstance(step, ThresholdRequantizer) and getattr(step, "overflow", "saturate") == "saturate"


def _narrowed(step: Requantizer, ends: tuple[int, int]) -> Requantizer:
    """clamp(clamp(y, lo, hi), ends) = clamp(y, clamp(lo, ends), clamp(hi, ends))."""
    if isinstance(step, TableRequantizer):
        return replace(step, values=tuple(np.clip(step.values, *ends).tolist()))
    lo, hi = np.clip((step.lo, step.hi), *ends).tolist()
    return replace(step, lo=lo, hi=hi)  # type: ignore[type-var]
