"""A graph that is followed from its inputs to its output, node by node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...network import Network, TensorFormat
from ..assembly import Builder, Wires
from .records import Graph, Node
from .shapes import Followed
from .values import Integers, Outside, Stored, Value

# What stands for an input until its integers are known.
UNKNOWN = (-(1 << 31), (1 << 31) - 1)
# Operators that change nothing, of two operands with a constant, or that another Transpose, wherever it is, may undo.
DROPPED = {"Identity": None, "Dropout": None, "Cast": None, "Transpose": None, "Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
Handler = Callable[["Session", Node], None]


class Session(Followed):
    """`done` are nodes that one before them has taken in; `twins` those that the runtime makes one of."""

    def __init__(self, graph: Graph, b: Builder, runtime: str):
        super().__init__(graph)
        self.graph, self.b, self.runtime = graph, b, runtime
        self.readers: dict[str, list[Node]] = {}
        self.makers = {name: node for node in graph.nodes for name in node.outputs}
        self.done: set[int] = set()
        self.first: dict[str, int] = {}
        self.twins = twins(graph.nodes)
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)

    def follow(self, operators: dict[str, Handler], nodes: Sequence[Node], output: str) -> None:
        """The nodes of an output in their order; operators by their kind, those of a domain that is not here by their name alone."""
        read = {output, *(name for node in nodes for name in node.inputs)}
        for value in self.graph.inputs:
            if value.name not in read and len(self.graph.outputs) > 1:
                continue
            with self.b.named(value.place):
                self.enter(value.name)
        for node in nodes:
            if node.index not in self.done:
                with self.b.named(node.place):
                    operators[node.kind if node.kind in operators else node.op](self, node)

    def finish(self, name: str, output: str, runtime: str, result: Callable[[Session, Any], Wires]) -> Network:
        """The network whose result is an output of the graph; `result` says which integers that are."""
        with self.b.named("output"):
            wires = result(self, self.values[output])
            if any((form.lo, form.hi) == UNKNOWN for form in self.b.inputs):
                raise UnsupportedError("inputs that nothing quantizes, expected none")
            outputs = self.b.values(wires).ravel()
        return self.b.finish(name, outputs, runtime)

    # --- tensors ---

    def give(self, node: Node, value: Any, which: int = 0) -> None:
        if isinstance(value, Value):
            self.charge(value.wires.size)
        super().give(node, value, which)

    def charge(self, size: int) -> None:
        self.b.charge(size)

    def computed(self, node: Node, which: int, *kinds: type) -> Any:
        """An input that must be a value of one of these kinds."""
        x = self.get(node, which)
        if not isinstance(x, kinds):
            raise UnsupportedError(f"input {which} is {said(x)}, expected {' or '.join(map(said, kinds))}")
        return x

    def readers_of(self, node: Node) -> list[Node]:
        """The nodes that read the only output, each as often as it does; and one more for the graph's output."""
        name = node.outputs[0]
        return self.readers.get(name, []) + ([node] if name in self.graph.outputs else [])

    def maker_of(self, name: str) -> Node | None:
        """The node that a tensor comes from; those that change no number are left out, as the runtime drops or moves them."""
        for _ in self.graph.nodes:  # names that hostile files give twice may lead round
            node = self.makers.get(name)
            kept = [i for i in node.inputs if not self._is_neutral(node, i)] if node is not None else []
            if node is None or node.op not in DROPPED or len(kept) != 1:
                return node
            name = kept[0]
        return None

    def _is_neutral(self, node: Node, name: str) -> bool:
        """Whether an input is a constant that changes nothing, or says what is not computed."""
        x = self.values.get(name)
        x = x.floats if isinstance(x, Stored) else x
        neutral = DROPPED.get(node.op)
        return isinstance(x, np.ndarray) and (neutral is None or bool((x == neutral).all()))

    # --- inputs ---

    def enter(self, name: str) -> None:
        """An input of the graph: its elements are numbered at once, and what they are is known where they become integers."""
        (value,) = (value for value in self.graph.inputs if value.name == name)
        sizes = value.shape
        if sizes and sizes[0] is None:
            sizes = (1, *sizes[1:])
        if None in sizes or len(sizes) > 8:
            raise UnsupportedError(f"shape {value.shape}, expected one whose sizes are known but for the first")
        shape = tuple(int(n or 1) for n in sizes)
        inner = (shape[1:] if len(shape) > 1 and shape[0] == 1 else shape) or (1,)
        self.b.charge(int(np.prod(np.array(shape, object))))
        self.first[name] = len(self.b.inputs)
        if value.dtype in ("int8", "uint8"):
            lo, hi = (-128, 127) if value.dtype == "int8" else (0, 255)
            wires = Wires.of_values(self.b.enter(TensorFormat(inner, lo, hi))).reshape(*shape)
            self.values[name] = Integers(wires, lo, hi)
        elif value.dtype == "float32":
            wires = Wires.of_values(self.b.enter(TensorFormat(inner, *UNKNOWN))).reshape(*shape)
            self.values[name] = Outside(wires)
        else:
            raise UnsupportedError(f"an input of {value.dtype}, expected float32, int8 or uint8")

    def become(self, x: Value, form: TensorFormat) -> None:
        """Elements of inputs are integers of this format, those of them that they can be; all of one input must be of one."""
        ends = np.cumsum([held.size for held in self.b.inputs])
        for k in np.unique(np.searchsorted(ends, x.wires.values[~x.wires.fixed], side="right")).tolist():
            held = self.b.inputs[k]
            found = TensorFormat(held.shape, max(held.lo, form.lo), min(held.hi, form.hi), form.scale, form.zero_point)
            if held != found and (held.lo, held.hi) != UNKNOWN and (held.scale, held.zero_point) != (1.0, 0):
                raise UnsupportedError(f"input {k} becomes integers of two kinds, expected one scale and zero point")
            self.b.inputs[k] = found


def twins(nodes: Sequence[Node]) -> set[int]:
    """The numbers of nodes that the runtime makes one of: of one kind and with one set of inputs, by their names, unless these come from a
    DequantizeLinear, which it makes one of for each reader.
    """
    apart = {name for node in nodes if node.op == "DequantizeLinear" for name in node.outputs}
    same: dict[str, str] = {}
    found: dict[Any, list[Node]] = {}
    for node in nodes:
        if node.op == "DequantizeLinear" or apart.intersection(node.inputs):
            continue
        key = node.kind, repr(sorted(node.attributes.items())), tuple(same.get(name, name) for name in node.inputs)
        group = found.setdefault(key, [])
        group.append(node)
        same |= zip(node.outputs, group[0].outputs, strict=False)
    return {node.index for group in found.values() if len(group) > 1 for node in group}


def said(kind: Any) -> str:
    """A kind of tensor in words."""
    kind = kind if isinstance(kind, type) else type(kind)
    words = {
        "ndarray": "a constant",
        "Outside": "floats that are not quantized",
        "Integers": "integers",
        "Dequantized": "dequantized integers",
        "Tabulated": "floats that are computed",
        "Stored": "a constant that is stored as integers",
        "Sums": "sums in floats",
        "Rim": "what follows a softmax",
    }
    return words.get(kind.__name__, kind.__name__)
