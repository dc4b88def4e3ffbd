"""Layers: each owns its shapes, gives its exact integer affine map, and requantizes its accumulators.

    acc_i = sum_j w_ij * x_j + b_i,    y_i = requantizer_i.apply(acc_i)

A layer reads a tensor; the cells x of its map are elements of it, or padding. A new layer kind is one class that says
how its parameters become an `AffineMap`; bounds, encoder and kernels see only that map and the requantizers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..arithmetic.steps import Steps, steps_of
from ..errors import InputError, UnsupportedError, expect_kind, kind_of
from .affine import WEIGHT_LIMIT, AffineMap, Record, frozen, matrix_map
from .names import check_name
from .tensor import TensorFormat

# Sums of two accumulators, rounding constants and clause weights must stay inside int64 with room to spare.
ACC_LIMIT = 1 << 60
# Magnitudes of biases stay below it.
BIAS_LIMIT = 1 << 59
# Cells that are no element of the input.
PADDING = -1


def integer_array(values, shape: tuple[int, ...] | None, lo: int, hi: int, what: str) -> np.ndarray:
    """A read-only int64 copy of `values`, all in [lo, hi], or an `InputError` about `what`; shape None takes any but ()."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{what}: rows of different lengths or numbers out of range, expected an array of integers") from error
    if array.dtype.kind not in "iu":
        raise InputError(f"{what}: dtype {array.dtype}, expected integers")
    if array.shape != shape and (shape is not None or not array.shape):
        raise InputError(f"{what}: shape {array.shape}, expected {shape or 'at least one axis'}")
    if array.size and (int(array.max()) > hi or int(array.min()) < lo):
        raise InputError(f"{what}: values from {array.min()} to {array.max()}, expected integers in [{lo}, {hi}]")
    return frozen(array.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Layer(Record, ABC):
    """What every layer has: a name, its input and output formats, and its requantizers.

    requantizers has one entry for all outputs, one for each slice along the last output axis (channel), or one for each output.
    """

    name: str
    input: TensorFormat
    output: TensorFormat
    requantizers: tuple[Requantizer, ...]

    def __post_init__(self):
        check_name(self.name, "layer")
        where = f"layer {self.name!r}"
        for name in ("input", "output"):
            if not isinstance(getattr(self, name), TensorFormat):
                raise InputError(f"{where}: {name} is {kind_of(getattr(self, name))}, expected a TensorFormat")
        parts = (self.requantizers,) if isinstance(self.requantizers, Requantizer) else self.requantizers
        if not isinstance(parts, tuple | list) or not all(isinstance(part, Requantizer) for part in parts):
            raise InputError(f"{where}: requantizers are {kind_of(self.requantizers)}, expected a tuple of requantizers")
        object.__setattr__(self, "requantizers", tuple(parts))

    @cached_property
    @abstractmethod
    def affine(self) -> AffineMap:
        """The layer's exact integer affine map over cells, which are raw input integers, zero points included."""

    @property
    def cells(self) -> np.ndarray | None:
        """int32[affine.n_in]: the element of the flattened input that a cell is, or PADDING, which stands for the input's zero point.

        None: cells are the elements in order.
        """
        return None

    @cached_property
    def steps(self) -> tuple[Steps, ...]:
        """The steps of the requantizers, which take `arithmetic.steps.table_bytes`."""
        return tuple(map(steps_of, self.requantizers))

    def steps_within(self, tick: Callable[[], object]) -> tuple[Steps, ...]:
        """`steps`, with a look at limits before each of those that are still to be found: of many levels one takes milliseconds."""
        if "steps" not in self.__dict__:
            found = []
            for requantizer in self.requantizers:
                tick()
                found.append(steps_of(requantizer))
            self.__dict__["steps"] = tuple(found)
        return self.steps

    def requantizer(self, i: int) -> Requantizer:
        """The requantizer of flattened output i."""
        return self.requantizers[i % len(self.requantizers)]

    def requantize(self, acc: np.ndarray) -> np.ndarray:
        """Activations of accumulators, int64[..., n_out] -> int64[..., n_out]."""
        if len(self.requantizers) == 1:
            return self.requantizers[0].apply(acc)
        y = np.empty_like(acc)
        for channel, requantizer in enumerate(self.requantizers):
            part = (..., slice(channel, None, len(self.requantizers)))
            y[part] = requantizer.apply(acc[part])
        return y

    def check(self) -> None:
        """Refuse inconsistent requantizers and accumulators that could leave the exact range of the kernels."""
        where, affine, cells = f"layer {self.name!r}", self.affine, self.cells
        if affine.n_out != self.output.size or affine.n_in != (self.input.size if cells is None else len(cells)):
            raise InputError(
                f"{where}: a map of {affine.n_in} cells and {affine.n_out} accumulators between {self.input} and {self.output}"
            )
        channels = self.output.shape[-1]
        if len(self.requantizers) not in (1, channels, self.output.size):
            raise InputError(f"{where}: {len(self.requantizers)} requantizers, expected 1 or {channels}")
        lo, hi = min(r.lo for r in self.requantizers), max(r.hi for r in self.requantizers)
        if (lo, hi) != (self.output.lo, self.output.hi):
            raise InputError(f"{where}: requantizers give [{lo}, {hi}], the output format says [{self.output.lo}, {self.output.hi}]")
        for r in self.requantizers:
            if isinstance(r, ShiftRequantizer) and not r.monotone and r.shift + (r.hi - r.lo).bit_length() > 62:
                raise UnsupportedError(
                    f"{where}: wrap-around at bit {r.shift} and above of the accumulator leaves the exact range of 2**62"
                )
        if affine.max_weight >= WEIGHT_LIMIT:
            raise UnsupportedError(f"{where}: a weight of magnitude {affine.max_weight}, expected less than 2**31")
        self._check_reach()

    def _check_reach(self) -> None:
        """Refuse accumulators that can leave the exact range; padding is an input's zero point, which may lie outside its range."""
        largest = max(abs(self.input.lo), abs(self.input.hi), abs(self.input.zero_point) if self.cells is not None else 0)
        sums, biases = self.affine.magnitudes(), self.affine.biases
        shifts = [max(0, -r.shift) if isinstance(r, ShiftRequantizer) else 0 for r in self.requantizers]
        # In floats first: whatever is not far below the limit is looked at in Python's integers.
        reaches = (sums.astype(float) * largest + np.abs(biases.astype(float))) * 2.0 ** np.resize(shifts, len(sums))
        for i in np.flatnonzero(reaches >= ACC_LIMIT / 2).tolist():
            reach = (int(sums[i]) * largest + abs(int(biases[i]))) << shifts[i % len(shifts)]
            if reach >= ACC_LIMIT:
                raise UnsupportedError(f"layer {self.name!r}: accumulator of output {i} can reach {reach}, beyond the exact range of 2**60")
        self._check_limits(sums, biases)

    def _check_limits(self, sums: np.ndarray, biases: np.ndarray) -> None:
        """Refuse accumulators beyond which a requantizer is not what its runtime computes; sums are those of |w|, of each row.

        Twice an accumulator lies within (sum of |w|) (hi - lo) of (sum of w) (lo + hi) + 2 bias.
        """
        limits = np.resize([min(r.acc_limit, ACC_LIMIT) for r in self.requantizers], len(sums))
        ends = [self.input.lo, self.input.hi, *([self.input.zero_point] if self.cells is not None else [])]
        lo, hi = min(ends), max(ends)
        middles = self.affine.totals().astype(float) * (lo + hi) + 2 * biases.astype(float)
        reaches = np.abs(middles) + sums.astype(float) * (hi - lo)
        for i in np.flatnonzero(reaches >= 1.99 * limits).tolist():
            _, weights = self.affine.row(i)
            middle = sum(weights.tolist()) * (lo + hi) + 2 * int(biases[i])
            reach = (abs(middle) + sum(map(abs, weights.tolist())) * (hi - lo)) // 2
            if reach > int(limits[i]):
                limit = f"{int(limits[i])}, as far as {self.requantizer(i)} is what its runtime computes"
                raise UnsupportedError(f"layer {self.name!r}: accumulator of output {i} can reach {reach}, expected at most {limit}")


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Fully connected: acc = weights @ (x - input.zero_point) + bias, over the flattened input.

    weights int (n_out, n_in), bias int (n_out,), both below 2**31 and 2**59 in magnitude.
    """

    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        super().__post_init__()
        where, shape = f"layer {self.name!r}", (self.output.size, self.input.size)
        if len(self.output.shape) != 1:
            raise InputError(f"{where}: output shape {self.output.shape}, expected one axis")
        for name, size, limit in (("weights", shape, WEIGHT_LIMIT), ("bias", shape[:1], BIAS_LIMIT)):
            object.__setattr__(self, name, integer_array(getattr(self, name), size, 1 - limit, limit - 1, f"{where}: {name}"))
        self.check()

    @cached_property
    def affine(self) -> AffineMap:
        return matrix_map(self.weights, raw_bias(self.name, self.weights, self.bias, self.input.zero_point))


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """Any other affine map over raw integers: sums and averages over an image, differences, additions, rescaling.

    map: acc = W x + bias of cells x, which are elements of the flattened input: mapped int32[map.n_in], None for all in order.
    """

    map: AffineMap
    mapped: np.ndarray | None = None

    def __post_init__(self):
        super().__post_init__()
        expect_kind(self.map, AffineMap, f"layer {self.name!r}: map", "an AffineMap")
        if self.mapped is not None:
            what = f"layer {self.name!r}: cells"
            cells = integer_array(self.mapped, (self.map.n_in,), PADDING, self.input.size - 1, what)
            object.__setattr__(self, "mapped", frozen(cells.astype(np.int32)))
        self.check()

    @property
    def affine(self) -> AffineMap:
        return self.map

    @property
    def cells(self) -> np.ndarray | None:
        return self.mapped


def raw_bias(name: str, weights: np.ndarray, bias: np.ndarray, zero_point: int) -> np.ndarray:
    """The bias of a map over raw integers, int64: bias - zero_point * (sum of each row), for weights (n_out, ...)."""
    sums = weights.reshape(len(weights), -1).sum(axis=1) if zero_point else np.zeros(len(weights), np.int64)
    raw = [int(b) - int(s) * zero_point for b, s in zip(bias, sums, strict=True)]
    if any(abs(b) >= ACC_LIMIT for b in raw):
        raise UnsupportedError(f"layer {name!r}: bias less zero point times weights leaves the exact range of 2**60")
    return np.array(raw, np.int64)
