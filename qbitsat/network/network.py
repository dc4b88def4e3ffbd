"""A network: a chain of layers over integers, checked once and frozen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property

from ..errors import InputError
from .layers import Layer
from .tensor import TensorFormat

__all__ = ["Network", "TensorFormat"]


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in order; each reads the previous one's output. `source` says where it came from, for reports."""

    layers: tuple[Layer, ...]
    name: str = "network"
    source: str = field(default="")

    def __post_init__(self):
        if not self.layers:
            raise InputError(f"network {self.name!r}: has no layers")
        for before, after in zip(self.layers, self.layers[1:], strict=False):
            a, b = before.output, after.input
            if (a.size, a.lo, a.hi, a.zero_point) != (b.size, b.lo, b.hi, b.zero_point):
                raise InputError(f"network {self.name!r}: layer {after.name!r} reads {b}, but layer {before.name!r} gives {a}")

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
