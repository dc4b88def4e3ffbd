"""A network: an acyclic graph of layers over integers, checked once and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from .._kernels.exact.layers import Layers
from ..arithmetic import ShiftRequantizer
from ..arithmetic.steps import table_bytes
from ..errors import InputError, UnsupportedError, kind_of
from .affine import Record, frozen, starts_of
from .layers import PADDING, Layer, Linear, integer_array
from .names import check_name, escape_path
from .tensor import TensorFormat

__all__ = ["Network", "TensorFormat"]

# Numbers of values are 32-bit words.
MAX_VALUES = (1 << 31) - 1
# Bytes of tables of steps beyond which inference does without.
MAX_TABLES = 1 << 27


@dataclass(frozen=True, eq=False, repr=False)
class Network(Record):
    """Layers in topological order. `source` is the file that it came from, or "".

    remarks are those of who made it, such as what was lost when it was quantized, and no part of the function: see `notes`.

    Values are numbered: the elements of the inputs in order, then the outputs of the layers in order.
    inputs    formats of the tensors that come from outside; by default one, that of the first layer
    reads     for each layer int32[its input's size], the values that are its input, all of them inputs or outputs of layers before; by
              default a chain, in which each reads the one before. Reshaping, slicing, joining and reordering are only another `reads`.
    outputs   int32[n], the values that are the result; by default the last layer's outputs

    runtime is the one whose step functions a file was read with, "" where the file has its own.
    parts are the networks that it computes side by side on its inputs, where it was joined of several.
    """

    layers: tuple[Layer, ...]
    name: str = "network"
    source: str = ""
    remarks: tuple[str, ...] = ()
    inputs: tuple[TensorFormat, ...] = ()
    reads: tuple[np.ndarray, ...] = ()
    outputs: np.ndarray = None  # type: ignore[assignment]
    runtime: str = ""
    parts: tuple[Network, ...] = ()

    def __post_init__(self):
        check_name(self.name, "network")
        check_name(self.runtime, f"network {self.name!r}: runtime")
        if not isinstance(self.source, str):
            raise InputError(f"network {self.name!r}: source is {self.source!r}, expected the name of a file, or ''")
        escape_path(self.source)
        for field, kind in (("layers", Layer), ("remarks", str), ("inputs", TensorFormat)):
            parts = getattr(self, field)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise InputError(f"network {self.name!r}: {field} are {kind_of(parts)}, expected a tuple, each of kind {kind.__name__}")
            object.__setattr__(self, field, tuple(parts))
        if not self.layers:
            raise InputError(f"network {self.name!r}: has no layers")
        if not self.inputs:
            object.__setattr__(self, "inputs", (self.layers[0].input,))
        if self.num_values > MAX_VALUES:
            raise UnsupportedError(f"network {self.name!r}: {self.num_values} values, expected fewer than 2**31")
        self._set_reads()
        outputs = np.arange(self.first_value(len(self.layers) - 1), self.num_values) if self.outputs is None else self.outputs
        object.__setattr__(self, "outputs", self._values(outputs, None, self.num_values, "outputs"))

    def __repr__(self) -> str:
        runtime = f", runtime {self.runtime}" if self.runtime else ""
        shapes = ", ".join("x".join(map(str, form.shape)) for form in self.inputs)
        return f"<Network {self.name!r}: {len(self.layers)} {'layer' if len(self.layers) == 1 else 'layers'} on {shapes}{runtime}>"

    def _set_reads(self) -> None:
        if not self.reads:
            self._check_chain()
            first = [0, *(self.first_value(k) for k in range(len(self.layers)))]
            object.__setattr__(self, "reads", tuple(frozen(np.arange(a, b, dtype=np.int32)) for a, b in pairwise(first)))
            return
        if not isinstance(self.reads, tuple | list) or len(self.reads) != len(self.layers):
            raise InputError(f"network {self.name!r}: reads are {kind_of(self.reads)}, expected an array for each layer")
        reads = [
            self._values(values, (layer.input.size,), self.first_value(k), f"what layer {layer.name!r} reads")
            for k, (layer, values) in enumerate(zip(self.layers, self.reads, strict=True))
        ]
        object.__setattr__(self, "reads", tuple(reads))
        lo, hi = self.value_ranges
        for layer, values in zip(self.layers, reads, strict=True):
            least, most = int(lo[values].min()), int(hi[values].max())
            if least < layer.input.lo or most > layer.input.hi:
                raise InputError(
                    f"network {self.name!r}: layer {layer.name!r} reads {layer.input}, but is given values in [{least}, {most}]"
                )

    def _values(self, values: Any, shape: tuple[int, ...] | None, end: int, what: str) -> np.ndarray:
        array = integer_array(values, shape, 0, end - 1, f"network {self.name!r}: {what}")
        if array.ndim != 1 or not array.size:
            raise InputError(f"network {self.name!r}: {what}: shape {array.shape}, expected one axis of at least one value")
        return frozen(array.astype(np.int32))

    def _check_chain(self) -> None:
        a, b = self.inputs[0], self.layers[0].input
        if len(self.inputs) > 1 or (a.size, a.lo, a.hi, a.zero_point) != (b.size, b.lo, b.hi, b.zero_point):
            raise InputError(f"network {self.name!r}: inputs {kind_of(self.inputs)} and no reads, expected one like the first layer's")
        for before, after in pairwise(self.layers):
            a, b = before.output, after.input
            if (a.size, a.lo, a.hi, a.zero_point) != (b.size, b.lo, b.hi, b.zero_point):
                raise InputError(f"network {self.name!r}: layer {after.name!r} reads {b}, but layer {before.name!r} gives {a}")

    @cached_property
    def is_chain(self) -> bool:
        """Whether each layer reads all outputs of the one before, in order and nothing else, and the last one gives the result."""
        firsts = [0, *self._first_values[:-1]]
        chained = all(np.array_equal(view, np.arange(a, b)) for view, (a, b) in zip(self.views, pairwise(firsts), strict=True))
        return chained and np.array_equal(self.outputs, np.arange(firsts[-1], self.num_values))

    # --- values ---

    @cached_property
    def _first_values(self) -> list[int]:
        """The number of each layer's first output, and of values in all."""
        firsts = [sum(form.size for form in self.inputs)]
        for layer in self.layers:
            firsts.append(firsts[-1] + layer.output.size)
        return firsts

    @property
    def num_inputs(self) -> int:
        """Elements of all inputs."""
        return self._first_values[0]

    @property
    def num_values(self) -> int:
        return self._first_values[-1]

    def first_value(self, k: int) -> int:
        """The number of layer k's first output."""
        return self._first_values[k]

    def target(self, k: int) -> slice:
        """The values that are layer k's outputs."""
        return slice(self._first_values[k], self._first_values[k + 1])

    def by_layer(self, values: np.ndarray) -> list[np.ndarray]:
        """The outputs of every layer among all values, [..., num_values]."""
        return [values[..., self.target(k)] for k in range(len(self.layers))]

    @cached_property
    def value_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest that each value can be by its format: int64[num_values] each."""
        forms = [*self.inputs, *(layer.output for layer in self.layers)]
        sizes = [form.size for form in forms]
        lo, hi = (np.repeat(np.array([getattr(form, end) for form in forms], np.int64), sizes) for end in ("lo", "hi"))
        return frozen(lo), frozen(hi)

    @cached_property
    def views(self) -> tuple[np.ndarray, ...]:
        """For each layer int32[affine.n_in]: the value that a cell is, or PADDING, which stands for `layer.input.zero_point`."""
        return tuple(
            values if layer.cells is None else frozen(np.where(layer.cells == PADDING, np.int32(PADDING), values[layer.cells]))
            for layer, values in zip(self.layers, self.reads, strict=True)
        )

    @cached_property
    def kernel(self) -> Layers:
        """The layers as kernels that run them see them."""
        few = table_bytes(r for layer in self.layers for r in layer.requantizers) <= MAX_TABLES
        steps = [layer.steps if few else () for layer in self.layers]
        parts = zip(self.layers, self.views, steps, strict=True)
        return Layers(self.num_inputs, [(layer.affine, view, layer.input.zero_point, own) for layer, view, own in parts])

    def row(self, k: int, i: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Accumulator i of layer k as values int32, each once and ascending, their weights int64, none 0, and a bias, padding included."""
        affine = self.layers[k].affine
        cells, weights = affine.row(i)
        values, bias = self.views[k][cells], int(affine.biases[i])
        inside = values != PADDING
        if not inside.all():
            bias += int(weights[~inside].sum()) * self.layers[k].input.zero_point
            values, weights = values[inside], weights[inside]
        if (values[1:] > values[:-1]).all():
            return values, weights, bias
        values, places = np.unique(values, return_inverse=True)
        sums = np.zeros(len(values), np.int64)
        np.add.at(sums, places, weights)
        return values[sums != 0], sums[sums != 0], bias

    def rows(self, k: int, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """`row` of many accumulators int64[n] of layer k: starts int64[n + 1] of rows, values and weights of all, and biases int64[n]."""
        affine, n = self.layers[k].affine, len(outputs)
        starts, cells, weights = affine.rows_of(outputs)
        values, biases = self.views[k][cells], affine.biases[outputs]
        inside = values != PADDING
        if inside.all() and _ascend(starts, values):
            return starts, values, weights, biases
        owner, padded = np.repeat(np.arange(n), np.diff(starts)), np.zeros(n, np.int64)
        np.add.at(padded, owner[~inside], weights[~inside])
        zero_point = self.layers[k].input.zero_point
        biases = np.array([b + p * zero_point for b, p in zip(biases.tolist(), padded.tolist(), strict=True)], np.int64)
        owner, values, weights = _merged(owner[inside], values[inside], weights[inside])
        return starts_of(np.bincount(owner, minlength=n)), values, weights, biases

    # --- formats ---

    @property
    def input(self) -> TensorFormat:
        """The format of the input; of several, one that holds them all, flattened one after the other."""
        return self.inputs[0] if len(self.inputs) == 1 else joined(self.inputs)

    @cached_property
    def output(self) -> TensorFormat:
        """The format of the result: that of the tensor which it is, else one axis of what it holds."""
        last = self.layers[-1].output
        if np.array_equal(self.outputs, np.arange(self.num_values - last.size, self.num_values)):
            return last
        return replace(joined(list(dict.fromkeys(self.output_forms))), shape=(len(self.outputs),))

    @cached_property
    def output_forms(self) -> tuple[TensorFormat, ...]:
        """For each element of the result the format of the tensor that it is of."""
        forms = (*self.inputs, *(layer.output for layer in self.layers))
        ends = np.cumsum([form.size for form in forms])
        return tuple([forms[k] for k in np.searchsorted(ends, self.outputs, side="right").tolist()])

    @property
    def notes(self) -> tuple[str, ...]:
        """What may not be meant, in words: the remarks, and zero points that no requantizer adds."""
        return (*self.remarks, *filter(None, map(zero_point_note, self.layers)))

    @cached_property
    def sha256(self) -> str:
        """Hash of the function, not of the file: formats, affine maps, requantizers, and who reads what."""
        digest = hashlib.sha256(json.dumps([asdict(form) for form in self.inputs]).encode())
        for layer, view in zip(self.layers, self.views, strict=True):
            affine = layer.affine
            parts = {field.name: getattr(affine, field.name) for field in fields(affine)}
            arrays = {"view": view, **{name: part for name, part in parts.items() if isinstance(part, np.ndarray)}}
            head = {
                "affine": type(affine).__name__,
                "numbers": {name: part for name, part in parts.items() if name not in arrays},
                "arrays": {name: array.shape for name, array in arrays.items()},
                "input": asdict(layer.input),
                "output": asdict(layer.output),
                "requantizers": [[type(r).__name__, vars(r)] for r in layer.requantizers],
            }
            digest.update(json.dumps(head, sort_keys=True).encode())
            for name in sorted(arrays):
                digest.update(arrays[name].astype("<i8").tobytes())
        digest.update(self.outputs.astype("<i8").tobytes())
        return digest.hexdigest()


def joined(forms: Sequence[TensorFormat]) -> TensorFormat:
    """One axis of all elements of some tensors; scale 1 and zero point 0 where they have not all the same."""
    first, same = forms[0], len({(form.scale, form.zero_point) for form in forms}) == 1
    lo, hi = min(form.lo for form in forms), max(form.hi for form in forms)
    meaning = (first.scale, first.zero_point) if same else (1.0, 0)
    return TensorFormat((sum(form.size for form in forms),), lo, hi, *meaning)


def _ascend(starts: np.ndarray, values: np.ndarray) -> bool:
    """Whether the values of each row ascend."""
    rising = np.diff(values) > 0
    ends = starts[1:-1]
    rising[ends[(ends > 0) & (ends < len(values))] - 1] = True
    return bool(rising.all())


def _merged(rows: np.ndarray, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each value once in a row, in ascending order, with the sum of its weights; none where that is 0."""
    order = np.lexsort((values, rows))
    rows, values, weights = rows[order], values[order], weights[order]
    first = np.flatnonzero(np.append(True, (np.diff(rows) != 0) | (np.diff(values) != 0))[: len(values)])
    sums = np.add.reduceat(weights, first) if len(first) else weights
    kept = first[sums != 0]
    return rows[kept], values[kept], sums[sums != 0]


def zero_point_note(layer: Layer) -> str:
    """A word on an output zero point that no requantizer adds, or "": right only if biases hold it, in units of the accumulator."""
    zero_point, requantizers = layer.output.zero_point, layer.requantizers
    if not zero_point or isinstance(layer, Linear) or any(not isinstance(r, ShiftRequantizer) or r.offset for r in requantizers):
        return ""
    return (
        f"layer {layer.name}: the output's zero point is {zero_point}, but its requantizers add no offset, so an accumulator of 0 does not"
        f" give it; TensorFormat.requantizer sets both"
    )
