"""Float .onnx models as float networks. Inputs and outputs stay in the shapes that the file has, without the batch.

tensors      a graph that is followed: what each tensor is, channels last or as the file has it
affine       what is an affine map
elementwise  activations, pools, and what moves elements
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.float_network import FloatNetwork
from ..files import MAX_BYTES, Path, open_input, placed, size_of
from ..float_builder import FloatBuilder, unsupported
from ..onnx_file import shapes
from ..onnx_file.protobuf import ERRORS, MAX_AXES, read_graph
from ..onnx_file.records import Graph, Input, Node
from ..onnx_file.survey import DYNAMIC, QUANTIZERS
from . import affine, elementwise
from .tensors import Follower, Tensor, bare

__all__ = ["followed", "read"]

OPERATORS: dict[str, Any] = {**affine.OPERATORS, **elementwise.OPERATORS}
HALF = "float16"
FLOATS = ("float32", "float64", HALF)


def read(path: Path) -> FloatNetwork:
    """The network in the file."""
    with open_input(path) as stream:
        size = size_of(stream)
        if size > MAX_BYTES // 2:
            raise InputError(f"{path}: {size} bytes, expected at most {MAX_BYTES // 2}")
        data = stream.read()
    graph = read_graph(data, os.fsdecode(path))
    del data
    refuse_unsupported(graph, os.fsdecode(path))
    return followed(graph, path)


def followed(graph: Graph, path: Path) -> FloatNetwork:
    """The network that a graph is; path is the file that it is from."""
    b = FloatBuilder(path, is_placed=True)
    f = Follower(graph, b)
    with np.errstate(all="ignore"):
        for value in graph.inputs:
            with placed(f"{b.place}: {value.place}"):
                f.values[value.name] = enter(b, value)
        for node in graph.nodes:
            run(f, node)
        outputs = tuple(result(f, name) for name in graph.outputs)
    return b.finish(outputs, os.path.splitext(os.path.basename(b.place))[0])


def refuse_unsupported(graph: Graph, place: str) -> None:
    """Raise for all operators that are not read, each once and with the nodes where it stands."""
    unknown: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.op in QUANTIZERS or node.op == DYNAMIC or node.op.startswith(("QLinear", "QGemm")):
            raise UnsupportedError(f"{place}: {node.place}: a quantized network; qbitsat.load reads it")
        if node.kind not in OPERATORS and node.kind not in shapes.OPERATORS:
            unknown.setdefault(node.kind, []).append(f"{node.index} {node.title!r}" if node.title else str(node.index))
    if unknown:
        raise unsupported(place, [f"operator {kind} (node {', '.join(where[:8])})" for kind, where in unknown.items()])


def enter(b: FloatBuilder, value: Input) -> Tensor:
    """An input of the graph; its first size may be open, for samples."""
    if value.dtype not in FLOATS:
        raise UnsupportedError(f"{value.dtype}, expected floats")
    sizes = (1, *value.shape[1:]) if value.shape and value.shape[0] is None else value.shape
    if not sizes or None in sizes or len(sizes) > MAX_AXES:
        raise UnsupportedError(f"shape {value.shape}, expected one whose sizes are known but for the first")
    if value.dtype == HALF:
        b.note_half(value.name)
    shape = tuple(int(n or 1) for n in sizes)
    return Tensor(b.input(bare(shape)), shape)


def run(f: Follower, node: Node) -> None:
    """What a node gives; what numpy refuses is the file's fault."""
    place = f"{f.b.place}: {node.place}"
    constants = all(isinstance(f.values.get(name), np.ndarray) for name in node.inputs if name)
    try:
        with placed(place):
            if constants and node.kind in shapes.OPERATORS:
                shapes.OPERATORS[node.kind](f, node)
            elif node.kind == "Shape":
                f.give(node, np.array(f.tensor(node).shape, np.int64))
            elif node.kind in OPERATORS:
                OPERATORS[node.kind](f, node)
            else:
                raise UnsupportedError("of what is computed, expected constants alone")
    except ERRORS as error:
        raise InputError(f"{place}: {error}".splitlines()[0]) from error


def result(f: Follower, name: str) -> int:
    """The tensor that is an output, as the file has it."""
    found = f.values.get(name)
    if not isinstance(found, Tensor):
        raise UnsupportedError(f"{f.b.place}: output {name[:80]!r} is a constant, expected what is computed")
    return f.filed(Node(0, "Output", "", "output", (), ()), found).number
