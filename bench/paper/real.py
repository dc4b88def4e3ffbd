"""The real-valued network between two questions about integers, so that a verdict is one about real numbers.

The network f is a chain of dense layers and ReLU-N whose weights are real numbers, those of float32; an input x is any real vector within
eps / 256 of the image and in [0, 255 / 256]. N is f in fixed point, and x' the point of N's grid next to x, which is in the box as well,
because the box's ends are on the grid. Layer by layer, with |x - x'| <= e and |x'| <= X, element by element,

    |(W x + b) - (round(W' x') + b')| <= |W| e + |W - W'| X + |b - b'| + step / 2         and clamping to [0, N] does not add to it

so that f and N differ by at most E at the output, all of it computed in integers. Then, for every class j but the label c,

    outer   no grid point has  z_c - z_j <= E_c + E_j    =>  f_c > f_j for all real x: HOLDS
    inner   some grid point has z_j - z_c > E_c + E_j    =>  f_j > f_c there: VIOLATED

Any witness is run through f itself, in exact integers. What is neither is OPEN: it lies within E of the other verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qbitsat import verify
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.network.float_network import FloatDense, FloatNetwork
from qbitsat.properties import AtMost, Box, Or, Query, Ref
from qbitsat.properties.formula import OUTPUT
from qbitsat.quantize.lowering import is_rectifier, limits_of
from qbitsat.quantize.prepare import prepared

# Fractional bits of pixels, of N's grid, of its activations and of its weights; and of what errors are counted in, rounded up.
PIXEL, GRID, WEIGHTS, FINE = 8, 20, 22, 80
OUTPUT_BITS = 31
OPEN = "OPEN"


@dataclass(frozen=True, eq=False)
class Stage:
    """W x + b, exactly: integers[n_out, n_in] and [n_out] over 2**places; then clamped to [0, top], the last one to nothing (None)."""

    weights: np.ndarray
    bias: np.ndarray
    places: int
    top: int | None


class RealNetwork:
    """A float model of dense layers and ReLU-N as real numbers."""

    def __init__(self, model: FloatNetwork):
        self.stages = stages_of(prepared(model)[0])
        self.bracket = bracket(self.stages)

    def run(self, x: np.ndarray, places: int) -> tuple[list[int], int]:
        """The outputs, exactly, for an input that is integers over 2**places: integers over 2**p, and p."""
        values = np.array([int(v) for v in x], object)
        for stage in self.stages:
            values = stage.weights @ values + stage.bias * (1 << places)
            places += stage.places
            if stage.top is not None:
                values = np.minimum(np.maximum(values, 0), stage.top << places)
        return [int(v) for v in values], places

    def loses(self, x: np.ndarray, places: int, label: int) -> bool:
        """Whether another output is larger than the label's."""
        outputs, _ = self.run(x, places)
        return max(outputs) > outputs[label]

    def error(self, hi: np.ndarray) -> list[int]:
        """E of each output, over 2**FINE, for grid points of at most `hi`, int[n] over 2**GRID."""
        size = [int(v) << (FINE - GRID) for v in hi]
        error = [1 << (FINE - GRID - 1)] * len(size)
        for stage, layer in zip(self.stages, self.bracket.layers, strict=True):
            own, places = integers_of(layer)
            # Both are whole numbers over 2**stage.places.
            apart = np.abs(stage.weights - own * (1 << (stage.places - WEIGHTS)))
            rounded = np.abs(stage.bias * (1 << FINE) - places * (1 << (FINE - GRID + stage.places)))
            total = np.abs(stage.weights) @ np.array(error, object) + apart @ np.array(size, object) + rounded
            error = [-(-int(v) >> stage.places) + (1 << (FINE - GRID - 1)) for v in total]
            size = [0 if stage.top is None else stage.top << FINE] * len(error)
        return error

    def verdict(self, pixels: np.ndarray, eps: int, label: int, **options: Any) -> tuple[str, np.ndarray | None]:
        """Of all real inputs within eps / 256: HOLDS, VIOLATED with a witness over 2**GRID, OPEN or UNKNOWN."""
        lo, hi = ((np.clip(pixels + d, 0, 255) << (GRID - PIXEL)) for d in (-eps, eps))
        error, others = self.error(hi), [j for j in range(len(self.stages[-1].bias)) if j != label]
        apart = {j: error[j] + error[label] >> (FINE - GRID) for j in others}
        box = Box(lo, hi)
        outer = [AtMost(((1, Ref(0, OUTPUT, label)), (-1, Ref(0, OUTPUT, j))), apart[j]) for j in others]
        found = verify(Query((self.bracket,), (box,), Or(tuple(outer))), **options)
        if found.witness is None:
            return found.verdict, None
        witness = np.array(found.witness.inputs[0])
        if self.loses(witness, GRID, label):
            return found.verdict, witness
        inner = [AtMost(((1, Ref(0, OUTPUT, label)), (-1, Ref(0, OUTPUT, j))), -apart[j] - 1) for j in others]
        found = verify(Query((self.bracket,), (box,), Or(tuple(inner))), **options)
        if found.witness is None:
            return OPEN if found.holds else found.verdict, None
        witness = np.array(found.witness.inputs[0])
        if not self.loses(witness, GRID, label):
            raise AssertionError("an inner witness that the network over real numbers does not confirm")
        return found.verdict, witness


def stages_of(model: FloatNetwork) -> list[Stage]:
    """The stages of a chain of dense layers with ReLU-N between them."""
    stages: list[Stage] = []
    for layer in model.layers:
        if isinstance(layer, FloatDense):
            stages.append(stage_of(layer))
        elif is_rectifier(layer) and stages and stages[-1].top is None:
            _, top = limits_of(layer)
            if not float(top).is_integer():
                raise ValueError(f"{layer.place}: kept below {top}, expected ReLU-N with a whole N")
            stages[-1] = replace(stages[-1], top=int(top))
        else:
            raise ValueError(f"{layer.place}: expected dense layers with ReLU-N between them")
    if any(stage.top is None for stage in stages[:-1]) or stages[-1].top is not None:
        raise ValueError("expected ReLU-N between all dense layers, and none at the end")
    return stages


def stage_of(layer: FloatDense) -> Stage:
    """Floats as integers over the power of two that holds all of them."""
    numbers = [float(v) for v in (*layer.weights.ravel(), *layer.bias)]
    places = max(WEIGHTS, GRID, *(v.as_integer_ratio()[1].bit_length() - 1 for v in numbers))
    exact = np.array([n * ((1 << places) // d) for n, d in (v.as_integer_ratio() for v in numbers)], object)
    size = layer.weights.size
    return Stage(exact[:size].reshape(layer.weights.shape), exact[size:], places, None)


def nearest(values: np.ndarray, places: int, fraction: int) -> np.ndarray:
    """Integers over 2**places as the nearest over 2**fraction."""
    shift = places - fraction
    half = (1 << shift) >> 1
    found = [int(v) + half >> shift for v in values.ravel()]
    if max(map(abs, found), default=0) >= 1 << 31:
        raise ValueError(
            f"weights or biases reach {max(map(abs, found)) / 2.0**fraction:g}, expected less than 2**31 steps of 2**-{fraction}"
        )
    return np.array(found, np.int64).reshape(values.shape)


def bracket(stages: list[Stage]) -> Network:
    """N: weights of WEIGHTS fractional bits, values of GRID, half up; outputs are as wide as they may need."""
    source, layers = TensorFormat((stages[0].weights.shape[1],), 0, (1 << GRID) - 1, 2.0**-GRID), list[Dense]()
    for k, stage in enumerate(stages):
        weights, biases = nearest(stage.weights, stage.places, WEIGHTS), nearest(stage.bias, stage.places, GRID)
        most = 1 << (OUTPUT_BITS - 1)
        reach = np.abs(weights).sum(axis=1) * (source.hi / 2.0**WEIGHTS) + np.abs(biases)
        # What rounds to the end is not more than half a step away.
        if stage.top is None and reach.max() > most - 1:
            raise ValueError(f"layer {k}: outputs may reach {reach.max() / 2.0**GRID:g}, expected less than {most / 2.0**GRID:g}")
        lo, hi = (-most, most - 1) if stage.top is None else (0, stage.top << GRID)
        target = TensorFormat((len(weights),), lo, hi, 2.0**-GRID)
        requantizers = tuple(target.requantizer(WEIGHTS, "half_up", bias=int(b)) for b in biases)
        layers.append(Dense(f"dense{k}", source, target, requantizers, weights, np.zeros(len(weights), np.int64)))
        source = target
    return Network(tuple(layers), "bracket")


def integers_of(layer: Any) -> tuple[np.ndarray, np.ndarray]:
    """W' over 2**WEIGHTS and b' over 2**GRID of a layer of the bracket, as Python integers."""
    offsets = [int(layer.requantizers[i if len(layer.requantizers) > 1 else 0].offset) for i in range(len(layer.affine.biases))]
    return layer.weights.astype(object), np.array(offsets, object)
