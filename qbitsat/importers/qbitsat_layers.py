"""Layers and requantizers in qbitsat's own network file: objects of the header, and the arrays that they name.

What a layer makes us hold is bounded by what is really in the file, before it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arithmetic import (
    DivisionRequantizer,
    Float32Requantizer,
    Float64Requantizer,
    MultiplierRequantizer,
    Requantizer,
    ShiftRequantizer,
    TableRequantizer,
    ThresholdRequantizer,
    smallest,
)
from ..arithmetic.table import MAX_ENTRIES
from ..errors import InputError, UnsupportedError
from ..limits import Limits
from ..network import AffineMap, Convolution, Dense, Layer, Linear, Patches, SparseRows, TensorFormat
from .files import placed
from .json_header import Keys, expect, integers, kind_of_record, record
from .npy import Npz

TENSOR: Keys = {"shape": list, "lo": int, "hi": int, "scale": float, "zero_point": int}
# Of version 1.
CHAINED: Keys = {"kind": str, "name": str, "input": dict, "output": dict, "requantizers": dict, "weights": str, "bias": str}
# Of every layer, and of each kind.
LAYER: Keys = {"kind": str, "name": str, "input": dict, "output": dict, "reads": str, "requantizers": list, "requantizer": str}
LAYERS: dict[str, Keys] = {
    "dense": {"weights": str, "bias": str},
    "convolution": {"weights": str, "bias": str, "strides": list, "padding": list, "dilation": list, "groups": int},
    "linear": {"map": dict},
}
# Names of arrays, but for the integers.
MAPS: dict[str, tuple[Callable[..., AffineMap], Keys]] = {
    "patches": (Patches, {"n_in": int, "start": str, "offset": str, "stride": int, "rows": str, "bias": str}),
    "sparse": (SparseRows, {"n_in": int, "indptr": str, "indices": str, "weights": str, "bias": str}),
}
REQUANTIZERS: dict[str, tuple[Callable[..., Requantizer], Keys]] = {
    "shift": (ShiftRequantizer, {"shift": int, "rounding": str, "lo": int, "hi": int, "overflow": str, "offset": int}),
    "multiplier": (MultiplierRequantizer, {"multiplier": int, "shift": int, "form": str, "lo": int, "hi": int, "offset": int}),
    "float32": (Float32Requantizer, {"scale": float, "lo": int, "hi": int, "offset": int, "bias": float}),
    "float64": (Float64Requantizer, {"scale": float, "lo": int, "hi": int, "offset": int}),
    "division": (DivisionRequantizer, {"divisor": int, "lo": int, "hi": int}),
    "table": (TableRequantizer, {"first": int, "values": str}),
    "threshold": (ThresholdRequantizer, {"lo": int, "firsts": str}),
}
# Fields that are arrays, an array a requantizer.
LISTED = ("values", "firsts")
# Values, and cells with padding, that a file may describe without naming each: so many, and so many a byte.
FREE_VALUES, VALUES_A_BYTE = 1 << 22, 4


# Of an element of an array on its way into a layer.
SECONDS = 2e-8


class Arrays:
    """The archive's arrays, each for one use: a header that names one a thousand times gets it once."""

    def __init__(self, npz: Npz, size: int, limits: Limits):
        self._npz, self._limits = npz, limits
        self._unused = set(npz.names) - {"header"}
        self._most = self._left = FREE_VALUES + VALUES_A_BYTE * size

    def take(self, name: str, place: str) -> np.ndarray:
        """The integer array of that name; place is where the header names it."""
        if name not in self._unused:
            raise InputError(f"{place}: {name!r}, expected an array of the file that nothing else uses")
        self._unused.remove(name)
        self._limits.check()
        array = self._npz.read(name)
        self._limits.require(8.0 * array.size, SECONDS * array.size)
        return array

    def claim(self, count: int, place: str) -> None:
        """Count values that the file describes; too many for its size are refused."""
        self._left -= count
        if self._left < 0:
            raise InputError(f"{place}: {count} values, more than is left of the {self._most} that a file of this size may describe")

    def check_all_used(self) -> None:
        if self._unused:
            raise InputError(f"{self._npz.place}: array {min(self._unused)!r} is not named in the header")


# --- layers ---


def write_chained(k: int, layer: Layer, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The object of version 1 for layer k, a dense one."""
    head = {"kind": "dense", "name": layer.name, "input": write_tensor(layer.input), "output": write_tensor(layer.output)}
    requantizers = _write_requantizers("shift", list(layer.requantizers), "", arrays)
    return {**head, "requantizers": requantizers, **_named(layer, ("weights", "bias"), f"{k}.", arrays)}


def read_chained(value: Any, arrays: Arrays, place: str) -> Layer:
    kind_of_record(value, {"dense": Dense}, place)
    record(value, CHAINED, place)
    source, target = read_tensor(value["input"], f"{place}: input"), read_tensor(value["output"], f"{place}: output")
    weights, bias = (arrays.take(value[key], f"{place}: {key}") for key in ("weights", "bias"))
    # Before the requantizers: their number is bounded by outputs that are really there.
    if bias.shape != (target.size,):
        raise InputError(f"{place}: bias has shape {bias.shape}, expected ({target.size},)")
    where, channels = f"{place}: requantizers", target.shape[-1]
    kind_of_record(value["requantizers"], {"shift": ShiftRequantizer}, where)
    requantizers = _read_requantizers(value["requantizers"], (1, channels), arrays, where)
    with placed(place):
        return Dense(value["name"], source, target, requantizers, weights, bias)


def write_layer(k: int, layer: Layer, reads: np.ndarray, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The header's object for layer k; its arrays are added to `arrays`."""
    prefix, kinds = f"{k}.", {Dense: "dense", Convolution: "convolution", Linear: "linear"}
    if type(layer) not in kinds:  # a subclass may mean something else
        raise UnsupportedError(f"layer {layer.name!r}: the file format has no layer of kind {type(layer).__name__}")
    fields: dict[str, Any] = {"kind": kinds[type(layer)], "name": layer.name}
    fields |= {"input": write_tensor(layer.input), "output": write_tensor(layer.output), "reads": f"{prefix}reads"}
    arrays[fields["reads"]] = smallest(reads)
    fields |= _write_all_requantizers(layer, prefix, arrays)
    if not isinstance(layer, Linear):
        fields |= _named(layer, ("weights", "bias"), prefix, arrays)
        if isinstance(layer, Convolution):
            fields |= {"strides": layer.strides, "padding": layer.padding, "dilation": layer.dilation, "groups": layer.groups}
        return fields
    kind = next((word for word, (made, _) in MAPS.items() if type(layer.map) is made), None)
    if kind is None:
        raise UnsupportedError(f"layer {layer.name!r}: the file format has no map of kind {type(layer.map).__name__}")
    fields["map"] = {"kind": kind, **_named(layer.map, tuple(MAPS[kind][1]), prefix, arrays)}
    if layer.mapped is not None:
        arrays[f"{prefix}cells"] = smallest(layer.mapped)
        fields["cells"] = f"{prefix}cells"
    return fields


def _named(owner: Any, names: tuple[str, ...], prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Attributes as they stand in the header: integers, and names of arrays, which are added to `arrays`."""
    fields: dict[str, Any] = {}
    for name in names:
        fields[name] = value = getattr(owner, name)
        if isinstance(value, np.ndarray):
            fields[name] = prefix + name
            arrays[prefix + name] = smallest(value)
    return fields


def read_layer(value: Any, arrays: Arrays, place: str) -> tuple[Layer, np.ndarray]:
    """A layer of version 2, and what it reads."""
    kind = kind_of_record(value, LAYERS, place)
    cells = {"cells": str} if kind == "linear" and "cells" in value else {}
    record(value, {**LAYER, **LAYERS[kind], **cells}, place)
    source, target = read_tensor(value["input"], f"{place}: input"), read_tensor(value["output"], f"{place}: output")
    reads = arrays.take(value["reads"], f"{place}: reads")
    if reads.shape != (source.size,):
        raise InputError(f"{place}: reads has shape {reads.shape}, expected ({source.size},)")
    arrays.claim(target.size, f"{place}: output")
    head = (value["name"], source, target, _read_all_requantizers(value, target, arrays, place))
    if kind == "linear":
        affine = _read_map(value["map"], arrays, f"{place}: map")
        mapped = arrays.take(value["cells"], f"{place}: cells") if cells else None
        with placed(place):
            return Linear(*head, affine, mapped), reads
    weights, bias = (arrays.take(value[key], f"{place}: {key}") for key in ("weights", "bias"))
    geometry = _read_geometry(value, source, arrays, place) if kind == "convolution" else {}
    with placed(place):
        return (Convolution(*head, weights, bias, **geometry) if geometry else Dense(*head, weights, bias)), reads


def _read_geometry(value: dict[str, Any], source: TensorFormat, arrays: Arrays, place: str) -> dict[str, Any]:
    """Strides and the like of a convolution, whose padded input the file must have room for."""
    strides, dilation = (tuple(integers(value[name], 2, f"{place}: {name}")) for name in ("strides", "dilation"))
    if len(value["padding"]) != 2:
        raise InputError(f"{place}: padding: {len(value['padding'])} values, expected 2")
    padding = tuple([tuple(integers(pair, 2, f"{place}: padding[{k}]")) for k, pair in enumerate(value["padding"])])
    if len(source.shape) == 3:
        height, width = (source.shape[axis] + sum(map(abs, padding[axis])) for axis in (0, 1))
        arrays.claim(height * width * source.shape[2], f"{place}: padding")
    return {"strides": strides, "padding": padding, "dilation": dilation, "groups": value["groups"]}


def _read_map(value: Any, arrays: Arrays, place: str) -> AffineMap:
    kind = kind_of_record(value, MAPS, place)
    made, keys = MAPS[kind]
    record(value, {"kind": str, **keys}, place)
    parts = [arrays.take(value[key], f"{place}: {key}") if form is str else value[key] for key, form in keys.items()]
    with placed(place):
        return made(*parts)


def write_tensor(form: TensorFormat) -> dict[str, Any]:
    return {"shape": list(form.shape), "lo": form.lo, "hi": form.hi, "scale": form.scale, "zero_point": form.zero_point}


def read_tensor(value: Any, place: str) -> TensorFormat:
    fields = record(value, TENSOR, place)
    for axis, length in enumerate(fields["shape"]):
        expect(length, int, f"{place}: shape[{axis}]")
    with placed(place):
        return TensorFormat(tuple(fields["shape"]), fields["lo"], fields["hi"], fields["scale"], fields["zero_point"])


# --- requantizers ---


def _write_all_requantizers(layer: Layer, prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The different ones, those of one kind together, and which of them an output has."""
    kinds: dict[str, list[Requantizer]] = {}
    for requantizer in dict.fromkeys(layer.requantizers):
        kind = next((word for word, (made, _) in REQUANTIZERS.items() if type(requantizer) is made), None)
        if kind is None:
            raise UnsupportedError(f"layer {layer.name!r}: the file format has no requantizer of kind {type(requantizer).__name__}")
        kinds.setdefault(kind, []).append(requantizer)
    number = {requantizer: n for n, requantizer in enumerate(r for some in kinds.values() for r in some)}
    arrays[f"{prefix}requantizer"] = smallest(np.array([number[requantizer] for requantizer in layer.requantizers]))
    written = [_write_requantizers(kind, some, prefix, arrays) for kind, some in kinds.items()]
    return {"requantizers": written, "requantizer": f"{prefix}requantizer"}


def _write_requantizers(kind: str, requantizers: list[Requantizer], prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Columns: one value where all share it, else a list with one for each; of tables the names of their arrays."""
    columns: dict[str, list[Any]] = {name: [getattr(r, name) for r in requantizers] for name in REQUANTIZERS[kind][1]}
    shared = {name: values[0] if len(set(values)) == 1 else values for name, values in columns.items()}
    for name in shared.keys() & LISTED:
        shared[name] = [f"{prefix}{kind}.{n}" for n in range(len(requantizers))]
        arrays.update(zip(shared[name], (smallest(np.array(values, np.int64)) for values in columns[name]), strict=True))
    return {"kind": kind, "count": len(requantizers), **shared}


def _read_all_requantizers(value: dict[str, Any], target: TensorFormat, arrays: Arrays, place: str) -> tuple[Requantizer, ...]:
    which = arrays.take(value["requantizer"], f"{place}: requantizer")
    counts = dict.fromkeys((1, target.shape[-1], target.size))
    if which.ndim != 1 or len(which) not in counts:
        raise InputError(f"{place}: requantizer has shape {which.shape}, expected {' or '.join(f'({n},)' for n in counts)}")
    made: list[Requantizer] = []
    for k, entry in enumerate(value["requantizers"]):
        # No more than are used: which has a place in the file for each.
        made += _read_requantizers(entry, range(1, len(which) - len(made) + 1), arrays, f"{place}: requantizers[{k}]")
    if int(which.min()) < 0 or int(which.max()) >= len(made):
        raise InputError(f"{place}: requantizer: numbers from {which.min()} to {which.max()}, expected one of {len(made)} requantizers")
    return tuple([made[n] for n in which.tolist()])


def _read_requantizers(value: Any, counts: tuple[int, ...] | range, arrays: Arrays, place: str) -> tuple[Requantizer, ...]:
    """As many as the columns say; `counts` are the numbers that may be."""
    make, keys = REQUANTIZERS[kind_of_record(value, REQUANTIZERS, place)]
    types = {name: list if isinstance(value.get(name), list) else kind for name, kind in keys.items()}
    types.update(dict.fromkeys(keys.keys() & LISTED, list))
    record(value, {"kind": str, "count": int, **types}, place)
    count = value["count"]
    if count not in counts:
        expected = f"1 to {len(counts)}" if isinstance(counts, range) else " or ".join(map(str, counts))
        raise InputError(f"{place}: count {count}, expected {expected}")
    columns = {name: _column(value[name], kind, count, f"{place}: {name}") for name, kind in keys.items()}
    for key in columns.keys() & LISTED:
        columns[key] = [_table(name, arrays, f"{place}: {key}[{n}]") for n, name in enumerate(columns[key])]
    known: dict[tuple[Any, ...], Requantizer] = {}
    with placed(place):
        for row in zip(*columns.values(), strict=True):
            if row not in known:
                known[row] = make(**dict(zip(columns, row, strict=True)))
    return tuple([known[row] for row in zip(*columns.values(), strict=True)])


def _table(name: str, arrays: Arrays, place: str) -> tuple[int, ...]:
    values = arrays.take(name, place)
    if values.ndim != 1 or values.size > MAX_ENTRIES:
        raise InputError(f"{place}: shape {values.shape}, expected one axis of at most {MAX_ENTRIES} values")
    return tuple(values.tolist())


def _column(value: Any, kind: type, count: int, place: str) -> list[Any]:
    """One value a requantizer."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{place}: {len(value)} values, expected {count}")
    for i, entry in enumerate(value):
        expect(entry, kind, f"{place}[{i}]")
    return value
