"""qbitsat's own network file: one .npz of integer arrays with a JSON header; docs/reference/files.md is its specification.

Members are stored, not compressed: the same network then gives the same bytes with every zlib, and no file can unpack
to more than its own size.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arithmetic import Requantizer, ShiftRequantizer
from ..errors import InputError, UnsupportedError, expect_kind
from ..network import Dense, Layer, Network, TensorFormat
from .files import Path, check_path, one_line, open_input, placed, size_of, write_atomically
from .npy import Npz

FORMAT, VERSION = "qbitsat network", 1
MAX_HEADER_BYTES = 1 << 24
# A formula of 200 levels takes twice as many here.
MAX_NESTING = 500

HEADER: dict[str, type] = {"format": str, "version": int, "name": str, "layers": list}
TENSOR: dict[str, type] = {"shape": list, "lo": int, "hi": int, "scale": float, "zero_point": int}
COLUMNS: dict[str, type] = {"shift": int, "rounding": str, "lo": int, "hi": int, "overflow": str, "offset": int}
DENSE: dict[str, type] = {"kind": str, "name": str, "input": dict, "output": dict, "requantizers": dict, "weights": str, "bias": str}
JSON_NAMES = {str: "a string", int: "an integer", float: "a number with a fraction", list: "a list", dict: "an object"}


def save(network: Network, path: Path) -> None:
    """Write the network to `path`, all or nothing; `load` gives it back with the same sha256."""
    expect_kind(network, Network, "save: network", "a Network, and then the name of a file")
    check_path(path)
    arrays: dict[str, np.ndarray] = {}
    layers = [write_layer(k, layer, arrays) for k, layer in enumerate(network.layers)]
    header = {"format": FORMAT, "version": VERSION, "name": network.name, "layers": layers}
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise UnsupportedError(f"{path}: the header takes {len(text)} bytes, expected at most {MAX_HEADER_BYTES}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"header": np.frombuffer(text, np.uint8), **arrays}.items():
            data = io.BytesIO()
            np.lib.format.write_array(data, array, version=(1, 0), allow_pickle=False)
            # A fixed date and system, so that the bytes depend on the network alone.
            member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, data.getvalue())
    write_atomically(path, buffer.getvalue())


def read(path: Path) -> Network:
    """The network in the file; `InputError` names the place of the first fault."""
    with open_input(path) as stream:
        size = size_of(stream)
        npz = Npz(stream, str(path), (zipfile.ZIP_STORED,))
        # Members that overlap would let a small file fill the memory.
        if npz.claimed_bytes > size:
            raise InputError(f"{path}: its members claim {npz.claimed_bytes} bytes, the file has {size}")
        if "header" not in npz.names:
            there = f"arrays {', '.join(npz.names[:5])}{', ...' if len(npz.names) > 5 else ''}" if npz.names else "nothing"
            raise InputError(f"{path}: has no array 'header', and is no network; it holds {there}")
        header = read_header(npz, f"{path}: header", FORMAT, VERSION, HEADER)
        arrays = Arrays(npz)
        layers = [read_layer(value, arrays, f"{path}: header: layers[{k}]") for k, value in enumerate(header["layers"])]
        arrays.check_all_used()
    with placed(str(path)):
        return Network(tuple(layers), header["name"], os.fsdecode(path))


# --- the header ---


def read_header(npz: Npz, place: str, form: str, version: int, types: dict[str, type]) -> dict[str, Any]:
    """The JSON object in the array `header`, its format, version and keys checked; numbers and nesting are bounded."""
    array = npz.read("header", "u")
    if array.dtype != np.uint8 or array.ndim != 1 or array.size > MAX_HEADER_BYTES:
        raise InputError(f"{place}: {array.dtype} of shape {array.shape}, expected at most {MAX_HEADER_BYTES} bytes of JSON as uint8")
    try:
        header = json.loads(array.tobytes(), parse_int=bounded_int, parse_constant=refuse_constant, object_pairs_hook=without_duplicates)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
    if not isinstance(header, dict) or header.get("format") != form:
        raise InputError(f"{place}: expected an object with format {form!r}")
    if header.get("version") != version:
        raise InputError(f"{place}: version {shown(header.get('version'))}, expected {version}")
    refuse_deep(header, place)
    return record(header, types, place)


def bounded_int(text: str) -> int:
    """An integer of at most 64 bits: what is computed from it can then be printed, too."""
    number = int(text) if len(text) <= 20 else None
    if number is None or not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{text[:40]} has more than 64 bits")
    return number


def refuse_deep(value: Any, place: str) -> None:
    """Recursion into what is accepted is safe; here there is none."""
    stack = [(value, 1)]
    while stack:
        part, level = stack.pop()
        if level > MAX_NESTING:
            raise InputError(f"{place}: nests deeper than {MAX_NESTING} levels")
        if isinstance(part, (dict, list)):
            stack.extend((inner, level + 1) for inner in (part.values() if isinstance(part, dict) else part))


def refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of the pairs, unless a key comes twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return values


def record(value: Any, types: dict[str, type], place: str) -> dict[str, Any]:
    """The value, if it is an object with exactly these keys and types (an int is no bool, and no float)."""
    expect(value, dict, place)
    for key in [*value, *types]:
        if key not in types or key not in value:
            fault = "unknown" if key in value else "missing"
            raise InputError(f"{place}: key {key!r} is {fault}; expected {', '.join(types)}")
    for key, kind in types.items():
        expect(value[key], kind, f"{place}: {key}")
        if kind is str and not value[key].isprintable():  # names reach terminals
            raise InputError(f"{place}: {key} {shown(value[key])}, expected printable characters")
    return value


def expect(value: Any, kind: type, place: str) -> None:
    if type(value) is not kind:
        raise InputError(f"{place}: {shown(value)}, expected {JSON_NAMES[kind]}")


def shown(value: Any) -> str:
    """A JSON value for a message: short, and without recursion into deep nests."""
    return JSON_NAMES[type(value)] if isinstance(value, (list, dict)) else repr(value)[:40]


class Arrays:
    """The archive's arrays, each for one use: a header that names one a thousand times gets it once."""

    def __init__(self, npz: Npz):
        self._npz = npz
        self._unused = set(npz.names) - {"header"}

    def take(self, name: str, place: str) -> np.ndarray:
        """The integer array of that name; place is where the header names it."""
        if name not in self._unused:
            raise InputError(f"{place}: {name!r}, expected an array of the file that no other layer uses")
        self._unused.remove(name)
        return self._npz.read(name)

    def check_all_used(self) -> None:
        if self._unused:
            raise InputError(f"{self._npz.place}: array {min(self._unused)!r} is not named in the header")


# --- layers ---


def write_layer(k: int, layer: Layer, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The header's object for layer k; its arrays are added to `arrays`."""
    if not isinstance(layer, Dense):
        raise UnsupportedError(f"layer {layer.name!r}: the file format has no layer of kind {type(layer).__name__}")
    arrays[f"{k}.weights"], arrays[f"{k}.bias"] = smallest(layer.weights), smallest(layer.bias)
    return {
        "kind": "dense",
        "name": layer.name,
        "input": write_tensor(layer.input),
        "output": write_tensor(layer.output),
        "requantizers": write_requantizers(layer),
        "weights": f"{k}.weights",
        "bias": f"{k}.bias",
    }


def read_layer(value: Any, arrays: Arrays, place: str) -> Layer:
    expect(value, dict, place)
    if value.get("kind") != "dense":
        raise InputError(f"{place}: kind {shown(value.get('kind'))} is unknown; expected 'dense'")
    record(value, DENSE, place)
    source, target = read_tensor(value["input"], f"{place}: input"), read_tensor(value["output"], f"{place}: output")
    weights, bias = (arrays.take(value[key], f"{place}: {key}") for key in ("weights", "bias"))
    # Before the requantizers: their number is bounded by outputs that are really there.
    if bias.shape != (target.size,):
        raise InputError(f"{place}: bias has shape {bias.shape}, expected ({target.size},)")
    requantizers = read_requantizers(value["requantizers"], target.shape[-1], f"{place}: requantizers")
    with placed(place):
        return Dense(value["name"], source, target, requantizers, weights, bias)


def smallest(array: np.ndarray) -> np.ndarray:
    """The same integers in the smallest little-endian signed dtype that holds them."""
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    size = next((n for n in (1, 2, 4) if -1 << 8 * n - 1 <= lo and hi < 1 << 8 * n - 1), 8)
    return array.astype(f"<i{size}")


def write_tensor(form: TensorFormat) -> dict[str, Any]:
    return {"shape": list(form.shape), "lo": form.lo, "hi": form.hi, "scale": form.scale, "zero_point": form.zero_point}


def read_tensor(value: Any, place: str) -> TensorFormat:
    fields = record(value, TENSOR, place)
    for axis, length in enumerate(fields["shape"]):
        expect(length, int, f"{place}: shape[{axis}]")
    with placed(place):
        return TensorFormat(tuple(fields["shape"]), fields["lo"], fields["hi"], fields["scale"], fields["zero_point"])


def write_requantizers(layer: Layer) -> dict[str, Any]:
    """Columns: one value where all channels share it, else a list with one a channel."""
    requantizers = layer.requantizers
    for requantizer in requantizers:
        if type(requantizer) is not ShiftRequantizer:
            kind = type(requantizer).__name__
            raise UnsupportedError(f"layer {layer.name!r}: the file format has no requantizer of kind {kind}")
    columns = {name: [getattr(requantizer, name) for requantizer in requantizers] for name in COLUMNS}
    shared = {name: values[0] if len(set(values)) == 1 else values for name, values in columns.items()}
    return {"kind": "shift", "count": len(requantizers), **shared}


def read_requantizers(value: Any, channels: int, place: str) -> tuple[Requantizer, ...]:
    expect(value, dict, place)
    if value.get("kind") != "shift":
        raise InputError(f"{place}: kind {shown(value.get('kind'))} is unknown; expected 'shift'")
    types = {name: list if isinstance(value.get(name), list) else kind for name, kind in COLUMNS.items()}
    record(value, {"kind": str, "count": int, **types}, place)
    count = value["count"]
    if count not in (1, channels):
        raise InputError(f"{place}: count {count}, expected 1 or {channels}")
    columns = [column(value[name], kind, count, f"{place}: {name}") for name, kind in COLUMNS.items()]
    with placed(place):
        return tuple(ShiftRequantizer(*row) for row in zip(*columns, strict=True))


def column(value: Any, kind: type, count: int, place: str) -> Sequence[Any]:
    """One value a requantizer."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise InputError(f"{place}: {len(value)} values, expected {count}")
    for i, entry in enumerate(value):
        expect(entry, kind, f"{place}[{i}]")
    return value
