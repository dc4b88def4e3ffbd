"""Layers: each owns its shapes, gives its exact integer affine map, and requantizes its accumulators.

    acc_i = sum_j w_ij * x_j + b_i,    y_i = requantizer_i.apply(acc_i)

A new layer kind is one class that says how its parameters become an `AffineMap`; bounds, encoder and kernels see
only that map and the requantizers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..errors import InputError, UnsupportedError, kind_of
from ..limits import NO_LIMITS, Limits
from .names import check_name
from .tensor import TensorFormat

# Sums of two accumulators, rounding constants and clause weights must stay inside int64 with room to spare.
ACC_LIMIT = 1 << 60
# Magnitudes of weights and biases stay below these.
WEIGHT_LIMIT, BIAS_LIMIT = 1 << 31, 1 << 59
# What it takes to put a weight into its place, in multiply-adds.
BUILD_WORK = 16


class Record:
    """A frozen dataclass that is pickled and copied by its fields: the copy is checked and its arrays frozen again, and nothing that was
    computed from them is carried along.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class AffineMap(Record):
    """acc = W x + bias over flattened tensors; W in compressed rows without explicit zeros.

    indptr  int64[n_out + 1]   row i is the slice indptr[i]:indptr[i + 1] of the next two
    indices int32[nnz]         input element, ascending within a row
    weights int64[nnz]         never 0
    bias    int64[n_out]
    """

    n_in: int
    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        for name, dtype in {"indptr": np.int64, "indices": np.int32, "weights": np.int64, "bias": np.int64}.items():
            object.__setattr__(self, name, frozen(getattr(self, name).astype(dtype, copy=False)))

    @property
    def n_out(self) -> int:
        return len(self.bias)

    @classmethod
    def from_dense(cls, matrix: np.ndarray, bias: np.ndarray) -> AffineMap:
        """From an (n_out, n_in) int64 matrix and an n_out int64 vector."""
        rows, columns = np.nonzero(matrix)
        indptr = np.zeros(len(matrix) + 1, np.int64)
        np.cumsum(np.count_nonzero(matrix, axis=1), out=indptr[1:])
        weights = matrix[rows, columns]
        return cls(matrix.shape[1], indptr, columns, weights, bias)

    @cached_property
    def matrix(self) -> np.ndarray:
        """W as float32[n_out, n_in], for gradients: it only ever suggests."""
        return self.build("matrix", NO_LIMITS)

    @cached_property
    def whole(self) -> np.ndarray:
        """W as int32[n_out, n_in]: weights are below 2**31 in magnitude."""
        return self.build("whole", NO_LIMITS)

    def build(self, name: str, limits: Limits) -> np.ndarray:
        """`matrix` or `whole`, made under limits unless it is there already."""
        if name not in self.__dict__:
            limits.require(2 * 4 * self.n_out * self.n_in)  # freezing makes a copy
            dense = np.zeros((self.n_out, self.n_in), np.float32 if name == "matrix" else np.int32)
            for rows in limits.slices(self.n_out, BUILD_WORK * self.n_in):
                part = slice(self.indptr[rows.start], self.indptr[rows.stop])
                counts = np.diff(self.indptr[rows.start : rows.stop + 1])
                dense[np.repeat(np.arange(rows.start, rows.stop), counts), self.indices[part]] = self.weights[part]
            self.__dict__[name] = frozen(dense)
        return self.__dict__[name]

    @cached_property
    def heaviest(self) -> int:
        """The largest magnitude of a weight."""
        return int(np.abs(self.weights).max(initial=0))

    def row(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices and weights of row i."""
        part = slice(self.indptr[i], self.indptr[i + 1])
        return self.indices[part], self.weights[part]


def frozen(array: np.ndarray) -> np.ndarray:
    """The same numbers, contiguous, over `bytes`: numpy can never be told to write there, as it can to an array that owns its numbers."""
    if isinstance(array.base, bytes) and array.flags.c_contiguous:
        return array
    return np.ndarray(array.shape, array.dtype, array.tobytes())


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

    requantizers has one entry for all outputs, or one for each slice along the last output axis (channel).
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
        """The layer's exact integer affine map over raw input integers, zero points included."""

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
        where = f"layer {self.name!r}"
        if len(self.requantizers) not in (1, self.output.shape[-1]):
            raise InputError(f"{where}: {len(self.requantizers)} requantizers, expected 1 or {self.output.shape[-1]}")
        lo, hi = min(r.lo for r in self.requantizers), max(r.hi for r in self.requantizers)
        if (lo, hi) != (self.output.lo, self.output.hi):
            raise InputError(f"{where}: requantizers give [{lo}, {hi}], the output format says [{self.output.lo}, {self.output.hi}]")
        for r in self.requantizers:
            if isinstance(r, ShiftRequantizer) and not r.monotone and r.shift + (r.hi - r.lo).bit_length() > 62:
                raise UnsupportedError(
                    f"{where}: wrap-around at bit {r.shift} and above of the accumulator leaves the exact range of 2**62"
                )
        affine, largest = self.affine, max(abs(self.input.lo), abs(self.input.hi))
        if affine.heaviest >= WEIGHT_LIMIT:
            raise UnsupportedError(f"{where}: a weight of magnitude {affine.heaviest}, expected less than 2**31")
        row_sums = np.add.reduceat(np.abs(np.append(affine.weights, 0)), np.minimum(affine.indptr[:-1], len(affine.weights)))
        row_sums[np.diff(affine.indptr) == 0] = 0
        for i in range(affine.n_out):
            reach = int(row_sums[i]) * largest + abs(int(affine.bias[i]))
            requantizer = self.requantizer(i)
            if isinstance(requantizer, ShiftRequantizer):
                reach <<= max(0, -requantizer.shift)
            if reach >= ACC_LIMIT:
                raise UnsupportedError(f"{where}: accumulator of output {i} can reach {reach}, beyond the exact range of 2**60")


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
        shift = [int(s) * self.input.zero_point for s in self.weights.sum(axis=1)]
        bias = [int(b) - s for b, s in zip(self.bias, shift, strict=True)]
        if any(abs(b) >= ACC_LIMIT for b in bias):
            raise UnsupportedError(f"layer {self.name!r}: bias less zero point times weights leaves the exact range of 2**60")
        return AffineMap.from_dense(self.weights, np.array(bias, np.int64))
