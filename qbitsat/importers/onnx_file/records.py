"""What an .onnx file says, as plain records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...network.names import printable


@dataclass(frozen=True)
class Input:
    """A tensor from outside. dtype is numpy's name of its elements; shape has None where the file leaves a size open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]

    @property
    def place(self) -> str:
        return f"input {printable(self.name)!r}"


@dataclass(frozen=True)
class Node:
    """inputs and outputs are names of tensors, "" for what is left out; attributes are numbers, texts, tuples of them, and arrays."""

    index: int
    op: str
    domain: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The operator, with its domain if it is not ONNX's own."""
        return f"{self.domain}.{self.op}" if self.domain else self.op

    @property
    def place(self) -> str:
        return f"node {self.index} ({self.title!r}, {self.kind})" if self.title else f"node {self.index} ({self.kind})"

    @property
    def name(self) -> str:
        """Of the layers that it becomes."""
        return f"{self.op.lower()}_{self.index}"


@dataclass(frozen=True)
class Graph:
    """Nodes in the order in which they run: each reads constants, inputs and what nodes before it give. opset is that of ONNX itself."""

    nodes: tuple[Node, ...]
    constants: dict[str, np.ndarray]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    opset: int
