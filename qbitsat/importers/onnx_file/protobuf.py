"""From the bytes of an .onnx file to a graph of records.

The protocol buffer is parsed by the package `onnx`, and nothing of it is run or followed: data outside the file is refused. Whatever is
made of it is bounded by what the file holds: an array is as large as its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import InputError, MissingExtraError, UnsupportedError
from ...network.names import printable
from ..files import one_line
from .records import Graph, Input, Node

# The field of TensorProto that has elements of a type when raw_data has not, and numpy's name of the type.
TYPES = {
    1: ("float32", "float_data"),
    2: ("uint8", "int32_data"),
    3: ("int8", "int32_data"),
    4: ("uint16", "int32_data"),
    5: ("int16", "int32_data"),
    6: ("int32", "int32_data"),
    7: ("int64", "int64_data"),
    9: ("bool", "int32_data"),
    10: ("float16", ""),
    11: ("float64", "double_data"),
    12: ("uint32", "uint64_data"),
    13: ("uint64", "uint64_data"),
}
EXTERNAL = 1
# The attributes that a Constant has one of, and the types of those that are no arrays.
CONSTANTS = {"value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
# Domains of ONNX's own operators, and the versions of it whose meaning is known here.
OWN_DOMAINS = ("", "ai.onnx")
OPSETS = range(7, 25)
MAX_AXES, SHOWN_NAME = 8, 80
ERRORS = (ValueError, TypeError, OverflowError, AttributeError, IndexError, KeyError, MemoryError, RecursionError)


class Reader:
    """The file's name, and what to do about its faults."""

    def __init__(self, path: str):
        try:
            import onnx
            from google.protobuf.message import DecodeError
        except ImportError:
            raise MissingExtraError("onnx", "onnx", f"{path}: reading an .onnx file") from None
        self.onnx: Any = onnx
        self.path, self.errors = path, (DecodeError, *ERRORS)

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """What Python raises within is the file's fault."""
        try:
            yield
        except (InputError, UnsupportedError):
            raise
        except self.errors as error:
            raise InputError(f"{self.path}: {place}: damaged protocol buffer: {one_line(error)}") from error


def read_graph(data: bytes, path: str) -> Graph:
    """The graph in a file's bytes; `InputError` or `UnsupportedError` name the place of what is wrong."""
    reader = Reader(path)
    with reader.at("model"):
        model = reader.onnx.ModelProto()
        model.ParseFromString(data)
        if not model.HasField("graph"):
            raise InputError(f"{path}: has no graph, expected an ONNX model")
        if len(model.functions):
            raise UnsupportedError(f"{path}: {len(model.functions)} functions of its own, expected none")
        graph, opset = model.graph, read_opset(reader, model)
        if len(graph.sparse_initializer):
            raise UnsupportedError(f"{path}: {len(graph.sparse_initializer)} sparse initializers, expected dense ones")
    constants: dict[str, np.ndarray] = {}
    for i, tensor in enumerate(graph.initializer):
        with reader.at(f"initializer {i}"):
            name = text(tensor.name)
            if name in constants:
                raise InputError(f"{path}: initializer {i} ({shown(name)}): is there twice")
            constants[name] = read_tensor(reader, tensor, f"initializer {i} ({shown(name)})")
    with reader.at("nodes"):
        nodes = tuple(read_node(reader, node, i) for i, node in enumerate(graph.node))
    with reader.at("inputs and outputs"):
        inputs = tuple(read_input(value) for value in graph.input if text(value.name) not in constants)
        outputs = tuple(text(value.name) for value in graph.output)
    with reader.at("constants"):
        for node in nodes:
            if node.kind == "Constant":
                take_constant(path, node, constants)
        nodes = tuple(node for node in nodes if node.kind != "Constant")
    found = Graph(nodes, constants, inputs, outputs, opset)
    check_order(found, path)
    return found


def take_constant(path: str, node: Node, constants: dict[str, np.ndarray]) -> None:
    """The value of a Constant node is one more initializer, as runtimes have it."""
    if len(node.outputs) != 1 or node.outputs[0] in constants:
        raise InputError(f"{path}: {node.place}: gives {len(node.outputs)} outputs, or one that is there twice; expected one")
    for key, dtype in CONSTANTS.items():
        found = node.attributes.get(key)
        if found is not None and isinstance(found, np.ndarray) == (dtype is None):
            constants[node.outputs[0]] = np.asarray(found, dtype)
            return
    raise UnsupportedError(f"{path}: {node.place}: has no value that is an array or numbers")


def text(value: str | bytes) -> str:
    """A string of the file; the package gives bytes where it is no UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")


def shown(name: str) -> str:
    """A name of the file as printable text of some length."""
    return repr(printable(name)[:SHOWN_NAME])


def read_opset(reader: Reader, model: Any) -> int:
    versions = [entry.version for entry in model.opset_import if text(entry.domain) in OWN_DOMAINS]
    if not versions:
        raise InputError(f"{reader.path}: says no version of ONNX's operators; expected a whole .onnx, and this may be cut off")
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise UnsupportedError(
            f"{reader.path}: versions {versions} of ONNX's operators, expected one from {OPSETS.start} to {OPSETS.stop - 1}"
        )
    return versions[0]


def read_input(value: Any) -> Input:
    kind = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in kind.shape.dim)
    name = TYPES[kind.elem_type][0] if kind.elem_type in TYPES else f"type {kind.elem_type}"
    return Input(text(value.name), name, shape)


def read_node(reader: Reader, node: Any, index: int) -> Node:
    with reader.at(f"node {index}"):
        domain = "" if node.domain in OWN_DOMAINS else printable(text(node.domain))[:SHOWN_NAME]
        op, title = (printable(text(value))[:SHOWN_NAME] for value in (node.op_type, node.name))
        place = f"node {index} ({op})"
        attributes = {printable(text(a.name)): read_attribute(reader, a, place) for a in node.attribute}
        return Node(index, op, domain, title, tuple(map(text, node.input)), tuple(map(text, node.output)), attributes)


def read_attribute(reader: Reader, attribute: Any, place: str) -> Any:
    """A number, a text, a tuple of numbers, or an array; None for what no operator here has."""
    kind = reader.onnx.AttributeProto.AttributeType.Name(attribute.type)
    if kind in ("FLOAT", "INT"):
        return attribute.f if kind == "FLOAT" else attribute.i
    if kind == "STRING":
        return printable(attribute.s.decode("utf-8", "backslashreplace"))
    if kind in ("FLOATS", "INTS"):
        return tuple(attribute.floats if kind == "FLOATS" else attribute.ints)
    if kind == "TENSOR":
        return read_tensor(reader, attribute.t, f"{place}: attribute {shown(text(attribute.name))}")
    return None


def read_tensor(reader: Reader, tensor: Any, place: str) -> np.ndarray:
    """The elements of a TensorProto, in its shape: as many as its bytes or numbers are, and no more."""
    place = f"{reader.path}: {place}"
    if tensor.data_location == EXTERNAL or len(tensor.external_data):
        raise UnsupportedError(f"{place}: external data, outside the file; expected all of it inside")
    if tensor.data_type not in TYPES:
        raise UnsupportedError(f"{place}: elements of type {tensor.data_type}, expected integers or floats of 8 to 64 bits")
    dtype, field = TYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    if len(shape) > MAX_AXES or not all(0 <= n < 1 << 31 for n in shape):
        raise InputError(f"{place}: shape {shape[:MAX_AXES]}, expected at most {MAX_AXES} axes, each from 0 to 2**31 - 1")
    size, kind = math.prod(shape), np.dtype(dtype)
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
        if held != size * kind.itemsize:
            raise InputError(f"{place}: shape {shape} of {dtype} takes {size * kind.itemsize} bytes, the file has {held}")
        return np.frombuffer(tensor.raw_data, kind.newbyteorder("<")).astype(kind).reshape(shape)
    numbers = getattr(tensor, field) if field else ()
    if len(numbers) != size:
        raise InputError(f"{place}: shape {shape} has {size} elements, the file has {len(numbers)}")
    array = np.array(numbers, np.float64 if kind.kind == "f" else np.int64 if kind.kind != "u" else np.uint64)
    if kind.kind in "iu" and size and not (np.iinfo(kind).min <= int(array.min()) and int(array.max()) <= np.iinfo(kind).max):
        raise InputError(f"{place}: numbers from {array.min()} to {array.max()}, expected {dtype}")
    return array.astype(kind).reshape(shape)


def check_order(graph: Graph, path: str) -> None:
    """Refuse nodes that read what only later ones give, or nobody, cycles among them; and tensors that are given twice."""
    there = {*graph.constants, *(value.name for value in graph.inputs)}
    if len(there) != len(graph.constants) + len(graph.inputs):
        raise InputError(f"{path}: inputs {[value.name for value in graph.inputs]}, expected different names")
    for node in graph.nodes:
        for name in filter(None, node.inputs):
            if name not in there:
                raise InputError(f"{path}: {node.place}: reads {shown(name)}, which no node before it gives")
        for name in filter(None, node.outputs):
            if name in there:
                raise InputError(f"{path}: {node.place}: gives {shown(name)}, which is there already")
            there.add(name)
    for name in graph.outputs:
        if name not in there:
            raise InputError(f"{path}: output {shown(name)} is given by no node")
