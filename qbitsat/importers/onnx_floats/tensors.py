"""A float .onnx graph that is followed: constants are numpy's arrays, all else is a tensor of the network that is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...network.float_layers import FloatLayer, Shape
from ...network.float_network import Reshape, Transpose
from ..float_builder import MAX_PARAMETERS, FloatBuilder
from ..onnx_file.records import Graph, Node
from ..onnx_file.shapes import Followed


@dataclass(frozen=True)
class Tensor:
    """A tensor of the network: shape is the graph's, of one sample. The network has it without a leading 1, and images channels last
    where is_last says so: (1, channels, height, width) as (height, width, channels), and sequences as images of height 1.
    """

    number: int
    shape: Shape
    is_last: bool = False

    @property
    def bare(self) -> Shape:
        return bare(self.shape)


def bare(shape: Shape) -> Shape:
    """A shape of the graph as the network has it."""
    return (shape[1:] if len(shape) > 1 and shape[0] == 1 else shape) or (1,)


def lead(shape: Shape) -> int:
    """How many axes `bare` leaves out."""
    return int(len(shape) > 1 and shape[0] == 1)


class Follower(Followed):
    """Follows a graph into layers of a float network."""

    def __init__(self, graph: Graph, b: FloatBuilder):
        super().__init__(graph)
        self.b, self.opset = b, graph.opset
        self._left = MAX_PARAMETERS

    # --- what the operators that move constants ask for ---

    def give(self, node: Node, value: Any, which: int = 0) -> None:
        if isinstance(value, np.ndarray):
            self.charge(value.size)
        super().give(node, value, which)

    def charge(self, size: int) -> None:
        """So many numbers of constants more are computed."""
        self._left -= size
        if self._left < 0:
            raise UnsupportedError(f"computes more than {MAX_PARAMETERS} numbers of constants up to here, expected at most those")

    # --- tensors ---

    def tensor(self, node: Node, which: int = 0) -> Tensor:
        """An input that must be computed."""
        found = self.get(node, which)
        if not isinstance(found, Tensor):
            raise UnsupportedError(f"input {which} is a constant, expected what is computed")
        return found

    def constant(self, node: Node, which: int) -> np.ndarray:
        """An input that must be a constant, as float64."""
        found = self.get(node, which)
        if not isinstance(found, np.ndarray):
            raise UnsupportedError(f"input {which} is computed, expected a constant")
        return found.astype(np.float64)

    def add(self, node: Node, kind: type[FloatLayer], reads: int | tuple[int, ...], *values: Any, what: str = "", **more: Any) -> int:
        """A layer, named after its node."""
        name = node.title or node.name
        return self.b.add(kind, f"{name}.{what}" if what else name, reads, *values, **more)

    def put(self, node: Node, x: Tensor, kind: type[FloatLayer], *values: Any) -> None:
        """The node gives what a layer makes of a tensor, in its shape and order."""
        self.give(node, Tensor(self.add(node, kind, x.number, *values), x.shape, x.is_last))

    def image(self, node: Node, x: Tensor) -> Tensor:
        """(1, channels, length) or (1, channels, height, width), channels last."""
        if len(x.shape) not in (3, 4) or x.shape[0] != 1:
            raise UnsupportedError(f"an input of shape {x.shape}, expected (1, channels, height, width)")
        if x.is_last:
            return x
        number = self.add(node, Transpose, x.number, (*range(1, len(x.shape) - 1), 0), what="channels_last")
        if len(x.shape) == 3:
            number = self.add(node, Reshape, number, (1, x.shape[2], x.shape[1]), what="image")
        return Tensor(number, x.shape, True)

    def filed(self, node: Node, x: Tensor) -> Tensor:
        """A tensor in the order that the graph has it in."""
        if not x.is_last:
            return x
        number = x.number
        if len(x.shape) == 3:
            number = self.add(node, Reshape, number, (x.shape[2], x.shape[1]), what="sequence")
        axes = len(x.shape) - 1
        return Tensor(self.add(node, Transpose, number, (axes - 1, *range(axes - 1)), what="channels_first"), x.shape)

    def alike(self, node: Node, parts: list[Tensor]) -> list[Tensor]:
        """Tensors in one order: channels last if one is, and all are images."""
        if any(part.is_last for part in parts) and all(len(part.shape) in (3, 4) and part.shape[0] == 1 for part in parts):
            return [self.image(node, part) for part in parts]
        return [self.filed(node, part) for part in parts]


def along_last(x: Tensor, array: np.ndarray) -> np.ndarray | None:
    """A constant that is broadcast to a tensor of the graph, as the network's order has it: one number, one for each entry of the last
    axis, or one for each element; None where it changes the shape.
    """
    if array.size == 1:
        return array.reshape(1)
    if array.ndim > len(x.shape) or np.broadcast_shapes(array.shape, x.shape) != x.shape:
        return None
    array = array.reshape((1,) * (len(x.shape) - array.ndim) + array.shape)
    varying = [k for k, n in enumerate(array.shape) if n > 1]
    last = 1 if x.is_last else len(x.shape) - 1
    if varying == [last]:
        return array.reshape(-1)
    if not x.is_last:
        return np.broadcast_to(array, x.shape).reshape(x.bare)
    full = np.moveaxis(np.broadcast_to(array, x.shape)[0], 0, -1)
    return full[None] if full.ndim == 2 else full


def by_channel(f: Follower, node: Node, x: Tensor, *arrays: np.ndarray) -> Tensor:
    """A tensor in the order in which constants vary along the last axis, if they vary along the channels of an image alone."""
    for array in arrays:
        shape = (1,) * (len(x.shape) - array.ndim) + array.shape
        if len(shape) == len(x.shape) in (3, 4) and x.shape[0] == 1 and [k for k, n in enumerate(shape) if n > 1] == [1]:
            return f.image(node, x)
    return x
