"""A network: a chain of layers over integers, checked once and frozen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from ..arithmetic import ShiftRequantizer
from ..errors import InputError, kind_of
from .layers import Layer, Record
from .names import check_name, escape_path
from .tensor import TensorFormat

__all__ = ["Network", "TensorFormat"]


@dataclass(frozen=True, eq=False)
class Network(Record):
    """Layers in order; each reads the previous one's output. `source` is the file that it came from, or "".

    remarks are those of who made it, such as what was lost when it was quantized, and no part of the function: see `notes`.
    """

    layers: tuple[Layer, ...]
    name: str = "network"
    source: str = ""
    remarks: tuple[str, ...] = ()

    def __post_init__(self):
        check_name(self.name, "network")
        if not isinstance(self.source, str):
            raise InputError(f"network {self.name!r}: source is {self.source!r}, expected the name of a file, or ''")
        escape_path(self.source)
        for field, kind in (("layers", Layer), ("remarks", str)):
            parts = getattr(self, field)
            if not isinstance(parts, tuple | list) or not all(isinstance(part, kind) for part in parts):
                raise InputError(f"network {self.name!r}: {field} are {kind_of(parts)}, expected a tuple, each of kind {kind.__name__}")
            object.__setattr__(self, field, tuple(parts))
        if not self.layers:
            raise InputError(f"network {self.name!r}: has no layers")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            a, b = before.output, after.input
            if (a.size, a.lo, a.hi, a.zero_point) != (b.size, b.lo, b.hi, b.zero_point):
                raise InputError(f"network {self.name!r}: layer {after.name!r} reads {b}, but layer {before.name!r} gives {a}")

    @property
    def notes(self) -> tuple[str, ...]:
        """What may not be meant, in words: the remarks, and zero points that no requantizer adds."""
        return (*self.remarks, *filter(None, map(zero_point_note, self.layers)))

    @property
    def input(self) -> TensorFormat:
        return self.layers[0].input

    @property
    def output(self) -> TensorFormat:
        return self.layers[-1].output

    @cached_property
    def sha256(self) -> str:
        """Hash of the function, not of the file: formats, affine maps and requantizers of all layers."""
        digest = hashlib.sha256()
        for layer in self.layers:
            head = {
                "kind": type(layer).__name__,
                "input": asdict(layer.input),
                "output": asdict(layer.output),
                "requantizers": [[type(r).__name__, vars(r)] for r in layer.requantizers],
            }
            digest.update(json.dumps(head, sort_keys=True).encode())
            for array in (layer.affine.indptr, layer.affine.indices, layer.affine.weights, layer.affine.bias):
                digest.update(array.astype("<i8").tobytes())
        return digest.hexdigest()


def zero_point_note(layer: Layer) -> str:
    """A word on an output zero point that no requantizer adds, or "": right only if biases hold it, in units of the accumulator."""
    zero_point, requantizers = layer.output.zero_point, layer.requantizers
    if not zero_point or any(not isinstance(r, ShiftRequantizer) or r.offset for r in requantizers):
        return ""
    return (
        f"layer {layer.name}: the output's zero point is {zero_point}, but its requantizers add no offset, so an accumulator of 0 does not"
        f" give it; TensorFormat.requantizer sets both"
    )
