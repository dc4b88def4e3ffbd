"""One call of a layer of a Keras file, as what reads that kind of layer sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.float_layers import FloatLayer
from ...network.float_network import Reshape, Transpose
from ..float_builder import FloatBuilder
from .settings import Settings
from .weights import Shape, Weights, Where

FORMATS = ("channels_last", "channels_first")


@dataclass(frozen=True)
class Node:
    """reads are tensors of the builder; version is Keras's own, of which 2 and 3 differ."""

    builder: FloatBuilder
    weights: Weights
    where: Where
    settings: Settings
    reads: tuple[int, ...]
    version: int
    quantizers: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return "/".join(self.where.names)

    @property
    def place(self) -> str:
        return self.settings.place

    @property
    def x(self) -> int:
        """The one tensor that is read."""
        if len(self.reads) != 1:
            raise InputError(f"{self.place}: reads {len(self.reads)} tensors, expected one")
        return self.reads[0]

    @property
    def shape(self) -> Shape:
        """The shape of the one tensor that is read."""
        return self.builder.shape(self.x)

    def variables(self, shapes: dict[str, Shape | None]) -> dict[str, np.ndarray]:
        """The layer's weights by name, in Keras's order."""
        return self.weights.read(self.where, shapes, self.place)

    def add(self, kind: type[FloatLayer], what: str, reads: int | tuple[int, ...], *values: Any, **more: Any) -> int:
        """A layer named after this one, and after what it does there, "" where it is this one."""
        return self.builder.add(kind, f"{self.name}.{what}" if what else self.name, reads, *values, **more)

    def axis(self, key: str, default: int) -> int:
        """An axis, the batch not among them, counted from 0; a list of one stands for it."""
        found, axes = self.settings.get(key, default), len(self.builder.shape(self.reads[0]))
        found = found[0] if isinstance(found, list) and len(found) == 1 else found
        if type(found) is not int or not (-axes <= found < 0 or 1 <= found <= axes):
            raise self.settings.wrong(key, f"an axis from 1 to {axes}, or from -{axes} to -1")
        return found - 1 if found > 0 else found + axes

    # --- images ---

    @property
    def is_channels_first(self) -> bool:
        return self.settings.values.get("data_format") is not None and self.settings.word("data_format", FORMATS[0], FORMATS) == FORMATS[1]

    def image(self, axes: int) -> int:
        """What is read as (height, width, channels); a sequence is an image of height 1."""
        x, shape = self.x, self.shape
        if len(shape) != axes + 1:
            raise InputError(f"{self.place}: reads a tensor of shape {shape}, expected {axes + 1} axes")
        if self.is_channels_first:
            x = self.add(Transpose, "channels_last", x, (*range(1, axes + 1), 0))
        return self.add(Reshape, "image", x, (1, *self.builder.shape(x))) if axes == 1 else x

    def as_before(self, x: int, axes: int) -> int:
        """An image with as many axes, in the order, in which `image` found it."""
        if axes == 1:
            x = self.add(Reshape, "sequence", x, self.builder.shape(x)[1:])
        return self.add(Transpose, "channels_first", x, (axes, *range(axes))) if self.is_channels_first else x


Handler = Callable[[Node], int]


def refused(node: Node, what: str) -> UnsupportedError:
    return UnsupportedError(f"{node.place}: {what}")
