"""Random small graphs of layers whose every input can be tried: convolutions, sums, maxima, residual reads, slices, padding, and
requantizers of every kind.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
from tiny import random_formula

from qbitsat.arithmetic import (
    FORMS,
    INT32,
    ROUNDINGS,
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
)
from qbitsat.network import Convolution, Dense, Layer, Linear, Network, Patches, SparseRows, TensorFormat
from qbitsat.network.layers import PADDING
from qbitsat.properties import Box, Query

KINDS = ("shift", "wrap", *FORMS, "float32", "float64", "division", "table")
# Levels less one: most layers have few, some more than a table of steps may; or 13, 16 and 31 bits now and then.
TOPS = (1, 3, 6, 15, 15, 15, 40, 255, 5000)
WIDE = (*TOPS, (1 << 13) - 1, (1 << 16) - 1, (1 << 31) - 1)


def random_requantizer(rng: random.Random, kind: str, acc_lo: int, acc_hi: int, lo: int, hi: int) -> Requantizer:
    """One of a kind that gives [lo, hi] (wrap-around: the power of two that fits into it), and most of that for accumulators in a range."""
    span = max(1, acc_hi - acc_lo)
    scale = min(4.0, max(1, hi - lo) / span * rng.choice([0.5, 1.0, 1.0, 1.5, 3.0]))
    # The offset that centres the range, or one nearby.
    offset = min(INT32[1], max(INT32[0], round((lo + hi) / 2 - scale * (acc_lo + acc_hi) / 2) + rng.randint(-2, 2)))
    if kind == "shift":
        return ShiftRequantizer(max(-3, -round(math.log2(scale))), rng.choice(ROUNDINGS), lo, hi, offset=offset)
    if kind == "wrap":
        most = lo + (1 << (hi - lo + 1).bit_length() - 1) - 1
        return ShiftRequantizer(max(0, -round(math.log2(scale))), rng.choice(ROUNDINGS), lo, most, "wrap", offset)
    if kind in FORMS:
        mantissa, exponent = math.frexp(scale)
        exact = rng.random() < 0.25  # near-ties are common where the multiplier is short
        multiplier = rng.choice([1, 3, 5, 7]) << 28 if exact else min((1 << 31) - 1, round(mantissa * (1 << 31)))
        return MultiplierRequantizer(multiplier, exponent, kind, lo, hi, offset)
    if kind == "float32":
        single = float(np.float32(scale if rng.random() < 0.7 else 2.0 ** round(math.log2(scale))))
        bias = float(np.float32(offset + rng.choice([0, 0.25, 0.5])))
        return Float32Requantizer(single, lo, hi, offset) if rng.random() < 0.7 else Float32Requantizer(single, lo, hi, 0, bias)
    if kind == "float64":
        return Float64Requantizer(scale if rng.random() < 0.7 else 2.0 ** round(math.log2(scale)), lo, hi, offset)
    if kind == "division":
        return DivisionRequantizer(min(INT32[1], max(1, round(1 / scale))), lo, hi)
    size, first = rng.randint(2, 40), max(acc_lo - rng.randint(0, 3), INT32[0])
    values = sorted(rng.randint(lo, hi) for _ in range(size - 2))
    return TableRequantizer(min(INT32[1], first + rng.choice([0, 0, span // 2 - size // 2])), (lo, *values, hi))


def random_requantizers(
    rng: random.Random, acc_lo: np.ndarray, acc_hi: np.ndarray, channels: int, kinds: Sequence[str], tops: Sequence[int], reach: int
) -> tuple[Requantizer, ...]:
    """One for all outputs, one for each channel or one for each output, all with the same range; shifts where others do not reach."""
    kind, top, lo = rng.choice(kinds), rng.choice(tops), rng.choice([0, 0, -1, -8, 3])
    # All of 32 bits.
    if top >= 1 << 15:
        lo = -(top + 1) // 2
    if kind == "wrap":
        top = (1 << (top + 1).bit_length() - 1) - 1
    count = rng.choice([1, channels, channels, len(acc_lo)])
    ends = [(int(acc_lo[c::count].min()), int(acc_hi[c::count].max())) for c in range(count)]
    made = tuple(random_requantizer(rng, kind, *pair, lo, lo + top) for pair in ends)
    if all(reach <= requantizer.acc_limit for requantizer in made):
        return made
    return tuple(random_requantizer(rng, "shift", *pair, lo, lo + top) for pair in ends)


class _Builder:
    """A network under way: the ranges of its values, and layers that read some of them."""

    def __init__(self, rng: random.Random, kinds: Sequence[str], tops: Sequence[int]):
        self.rng, self.kinds, self.tops = rng, kinds, tops
        self.inputs: list[TensorFormat] = []
        self.layers: list[Layer] = []
        self.reads: list[np.ndarray] = []
        self.lo: list[int] = []
        self.hi: list[int] = []

    def grow(self, form: TensorFormat) -> None:
        self.lo += [form.lo] * form.size
        self.hi += [form.hi] * form.size

    def pick(self, n: int) -> np.ndarray:
        """Values to read: neighbours, or any, some of them twice."""
        if n <= len(self.lo) and self.rng.random() < 0.5:
            first = self.rng.choice([len(self.lo) - n, self.rng.randint(0, len(self.lo) - n)])
            return np.arange(first, first + n)
        return np.array([self.rng.randrange(len(self.lo)) for _ in range(n)])

    def read(self, shape: tuple[int, ...]) -> tuple[TensorFormat, np.ndarray]:
        values = self.pick(math.prod(shape))
        lo, hi = min(self.lo[v] for v in values), max(self.hi[v] for v in values)
        return TensorFormat(shape, lo, hi, 0.5, self.rng.choice([0, lo, hi, lo - 1])), values

    def ends(self, layer: Layer, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The accumulators' ranges."""
        cells = values if layer.cells is None else np.where(layer.cells == PADDING, PADDING, values[layer.cells])
        lo, hi = (np.array([*ends, layer.input.zero_point])[cells] for ends in (self.lo, self.hi))
        pairs = []
        for i in range(layer.affine.n_out):
            read, weights = layer.affine.row(i)
            a, b = weights * lo[read], weights * hi[read]
            pairs.append((int(np.minimum(a, b).sum() + layer.affine.biases[i]), int(np.maximum(a, b).sum() + layer.affine.biases[i])))
        return tuple(np.array(pairs).T)

    def add(self, make: Callable[[TensorFormat, tuple[Requantizer, ...]], Layer], shape: tuple[int, ...], values: np.ndarray) -> None:
        """A layer that is made of its output's format and its requantizers; these are chosen for its accumulators."""
        trial = make(TensorFormat(shape, 0, 0), (ShiftRequantizer(0, "floor", 0, 0),))
        largest = max(abs(trial.input.lo), abs(trial.input.hi), abs(trial.input.zero_point))
        reach = int((trial.affine.magnitudes() * largest + np.abs(trial.affine.biases)).max())
        requantizers = random_requantizers(self.rng, *self.ends(trial, values), shape[-1], self.kinds, self.tops, reach)
        output = TensorFormat(shape, requantizers[0].lo, requantizers[0].hi, 1.0, self.rng.choice([0, requantizers[0].lo]))
        self.put(make(output, requantizers), values)

    def put(self, layer: Layer, values: np.ndarray) -> None:
        self.layers.append(layer)
        self.reads.append(values)
        self.grow(layer.output)

    def dense(self) -> None:
        n, weight = self.rng.randint(1, 3), self.rng.choice([1, 3, 31])
        form, values = self.read((self.rng.randint(1, 4),))
        weights = np.array([[self.rng.choice([0, self.rng.randint(-weight, weight)]) for _ in range(form.size)] for _ in range(n)])
        bias = np.array([self.rng.randint(-weight, weight) for _ in range(n)])
        name = f"dense{len(self.layers)}"
        self.add(lambda output, requantizers: Dense(name, form, output, requantizers, weights, bias), (n,), values)

    def convolution(self) -> None:
        rng = self.rng
        groups, depth, multiplier = rng.choice([(1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1)])
        size, kernel = (rng.randint(1, 3), rng.randint(1, 2)), (rng.randint(1, 2), rng.randint(1, 3))
        strides, dilation = ((rng.randint(1, 2), rng.randint(1, 2)) for _ in range(2))
        padding = tuple((rng.randint(0, 1), rng.randint(0, 1)) for _ in range(2))
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        room = [n + sum(p) - s for n, p, s in zip(size, padding, spans, strict=True)]
        if min(room) < 0:
            return self.convolution()
        form, values = self.read((*size, groups * depth))
        n_out = groups * multiplier
        weights = np.array([rng.randint(-3, 3) for _ in range(n_out * math.prod(kernel) * depth)]).reshape(n_out, *kernel, depth)
        bias = np.array([rng.randint(-9, 9) for _ in range(n_out)])
        shape = (*(r // s + 1 for r, s in zip(room, strides, strict=True)), n_out)
        rest, name = (weights, bias, strides, padding, dilation, groups), f"convolution{len(self.layers)}"
        return self.add(lambda output, requantizers: Convolution(name, form, output, requantizers, *rest), shape, values)

    def patches(self) -> None:
        """Groups of rows over shifted cells, in any order, of which some are padding or read twice."""
        rng, positions, groups, channels = self.rng, self.rng.randint(1, 3), self.rng.randint(1, 2), self.rng.randint(1, 2)
        offset, stride, start = (
            np.array(rng.sample(range(4), rng.randint(1, 3))),
            rng.randint(0, 2),
            [rng.randint(0, 3) for _ in range(positions)],
        )
        n_in = max(start) + int(offset.max()) + (groups - 1) * stride + 1
        form, values = self.read((n_in,))
        rows = np.array([rng.randint(-3, 3) for _ in range(groups * channels * len(offset))]).reshape(groups, channels, len(offset))
        shared = Patches(n_in, np.array(start), offset, stride, rows, np.array([[rng.randint(-9, 9)] * channels] * groups))
        cells = None if rng.random() < 0.5 else np.array([rng.randint(-1, n_in - 1) for _ in range(n_in)])
        name, shape = f"patches{len(self.layers)}", (positions, groups * channels)
        self.add(lambda output, requantizers: Linear(name, form, output, requantizers, shared, cells), shape, values)

    def mean(self) -> None:
        """Sums over the positions of each channel."""
        size, channels = self.rng.randint(1, 4), self.rng.randint(1, 2)
        form, values = self.read((size, channels))
        ones, bias = np.ones((channels, 1, size), int), np.array([[self.rng.randint(-3, 3)]] * channels)
        total = Patches(form.size, np.zeros(1, int), np.arange(size) * channels, 1, ones, bias)
        name = f"mean{len(self.layers)}"
        self.add(lambda output, requantizers: Linear(name, form, output, requantizers, total), (channels,), values)

    def sum(self) -> None:
        """a * x + b * y elementwise; sometimes cells are padding or read twice."""
        n = self.rng.randint(1, 3)
        form, values = self.read((2, n))
        # Accumulators stay far inside int32.
        most = (1 << 26) // max(1, abs(form.lo), abs(form.hi), abs(form.zero_point))
        a, b = (self.rng.choice([-1, 1]) * self.rng.randint(1, min(max(1, most), 1 << self.rng.choice([1, 4, 20]))) for _ in range(2))
        both = SparseRows.of_matrix(np.hstack([a * np.eye(n, dtype=np.int64), b * np.eye(n, dtype=np.int64)]), np.zeros(n, int))
        cells = None if self.rng.random() < 0.5 else np.array([self.rng.randint(-1, 2 * n - 1) for _ in range(2 * n)])
        name = f"sum{len(self.layers)}"
        self.add(lambda output, requantizers: Linear(name, form, output, requantizers, both, cells), (n,), values)

    def maximum(self) -> None:
        """max(x, y) = y + max(x - y, 0), exactly: two layers."""
        n, k = self.rng.randint(1, 2), len(self.layers)
        form, values = self.read((2, n))
        lo, hi, first = form.lo, form.hi, len(self.lo)
        eye, zero = np.eye(n, dtype=np.int64), np.zeros(n, int)
        above, same = ShiftRequantizer(0, "floor", 0, hi - lo), ShiftRequantizer(0, "floor", lo, hi)
        if lo < hi:
            output = TensorFormat((n,), 0, hi - lo)
            self.put(Linear(f"above{k}", form, output, (above,), SparseRows.of_matrix(np.hstack([eye, -eye]), zero)), values)
            reads = np.concatenate([values[n:], np.arange(first, first + n)])
            both = TensorFormat((2, n), min(lo, 0), max(hi, hi - lo))
            rows = SparseRows.of_matrix(np.hstack([eye, eye]), zero)
            self.put(Linear(f"maximum{k}", both, TensorFormat((n,), lo, hi), (same,), rows), reads)


def random_graph(rng: random.Random, kinds: Sequence[str] = KINDS, most: int = 4, tops: Sequence[int] = TOPS) -> Network:
    """One or two inputs of few values, up to `most` parts (a maximum has two layers), and any of the values as outputs.

    kinds are those of requantizers, tops the numbers of their levels less one; maxima have shifts of their own.
    """
    build = _Builder(rng, kinds, tops)
    for _ in range(rng.choice([1, 1, 1, 2])):
        lo = rng.choice([0, 0, -3, 5])
        shape = rng.choice([(2,), (3,), (2, 2, 1), (1, 2, 2), (4,)])
        build.inputs.append(TensorFormat(shape, lo, lo + rng.choice([1, 2, 3, 7, 15]), 0.5, rng.choice([0, lo])))
        build.grow(build.inputs[-1])
    for _ in range(rng.randint(1, most)):
        rng.choice([build.dense, build.convolution, build.patches, build.mean, build.sum, build.maximum])()
    if not build.layers:
        build.dense()
    last, n = build.layers[-1].output.size, len(build.lo)
    outputs = np.arange(n - last, n) if rng.random() < 0.6 else build.pick(rng.randint(1, 4))
    return Network(tuple(build.layers), "graph", inputs=tuple(build.inputs), reads=tuple(build.reads), outputs=outputs)


def graph_box(rng: random.Random, network: Network, budget: int = 300) -> Box:
    """A box with at most `budget` points."""
    lo, hi = (ends[: network.num_inputs].tolist() for ends in network.value_ranges)
    box = [(0, 0)] * network.num_inputs
    for i in rng.sample(range(len(box)), len(box)):
        a, b = sorted(rng.randint(lo[i], hi[i]) for _ in range(2))
        b = min(b, a + budget - 1)
        budget //= b - a + 1
        box[i] = a, b
    return Box(*np.array(box).T)


def graph_query(rng: random.Random, kinds: Sequence[str] = KINDS, most: int = 4, tops: Sequence[int] = TOPS) -> Query:
    """A formula over inputs and outputs of one graph, or of two."""
    networks = tuple(random_graph(rng, kinds, most, tops) for _ in range(rng.choice([1, 1, 1, 2])))
    boxes = tuple(graph_box(rng, network, 300 if len(networks) == 1 else 17) for network in networks)
    return Query(networks, boxes, random_formula(rng, networks, 2))
