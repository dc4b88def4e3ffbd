"""From the bytes of a .tflite file to a graph of records.

The accessors of the package `tflite` follow whatever offsets the file has. So each access here stands in a place that names what is
read, all that Python raises there is an error of the file, and what is read in all is bounded by the file's length: a thousand entries
that point to one place are read a few times, and no more.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...errors import InputError, MissingExtraError, UnsupportedError
from ...network.names import printable
from ..files import one_line
from .records import DTYPES, Graph, Operator, Quantization, Tensor
from .schema import KINDS

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
ERRORS = (struct.error, IndexError, ValueError, TypeError, OverflowError, KeyError, AttributeError, MemoryError)
# Bytes that may be read for each byte of the file, those that a record counts for, and as many for a start.
MOST_READ, RECORD, START = 8, 32, 1 << 12
MAX_AXES, SHOWN_NAME = 8, 60


class Reader:
    """The file's bytes, and how many of them may still be read."""

    def __init__(self, data: bytes, path: str):
        try:
            import tflite
        except ImportError:
            raise MissingExtraError("tflite", "tflite", f"{path}: reading a .tflite file") from None
        self.schema: Any = tflite
        self.data, self.path = data, path
        self.left = START + MOST_READ * len(data)
        self.types, self.builtins, self.options = (
            {value: name for name, value in vars(getattr(tflite, kind)).items() if not name.startswith("_")}
            for kind in ("TensorType", "BuiltinOperator", "BuiltinOptions")
        )

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """What Python raises within is the file's fault."""
        try:
            yield
        except ERRORS as error:
            beyond = isinstance(error, struct.error)
            why = f"an offset leads beyond the file's {len(self.data):,} bytes" if beyond else one_line(error)
            raise InputError(f"{self.path}: {place}: damaged flatbuffer: {why}") from error

    def charge(self, size: int) -> None:
        """Count what is about to be read."""
        self.left -= size
        if self.left < 0:
            raise ValueError("its parts claim more than the file holds")

    def vector(self, table: Any, name: str) -> np.ndarray:
        """A vector of numbers, a view of the file; empty if there is none."""
        count = getattr(table, f"{name}Length")()
        if not count:
            return np.empty(0, np.int32)
        self.charge(count)
        array = getattr(table, f"{name}AsNumpy")()
        self.charge(array.nbytes)
        return array

    def tables(self, table: Any, name: str) -> Iterator[Any]:
        """The entries of a vector of tables, one after the other."""
        for i in range(getattr(table, f"{name}Length")()):
            self.charge(RECORD)
            yield getattr(table, name)(i)

    def text(self, value: bytes | None) -> str:
        """A name as printable text of some length."""
        self.charge(len(value or b""))
        return printable((value or b"").decode("utf-8", "backslashreplace"))[:SHOWN_NAME]


def read_graph(data: bytes, path: str) -> Graph:
    """The graph in a file's bytes; `InputError` or `UnsupportedError` name the place of what is wrong."""
    reader = Reader(data, path)
    if data[4:8] != IDENTIFIER:
        raise InputError(f"{path}: bytes 4 to 8 are {data[4:8]!r}, expected {IDENTIFIER!r}")
    with reader.at("model"):
        model = reader.schema.Model.GetRootAs(data, 0)
        version, count = model.Version(), model.SubgraphsLength()
        if version != SCHEMA_VERSION:
            raise InputError(f"{path}: schema version {version}, expected {SCHEMA_VERSION}")
        if count != 1:
            raise UnsupportedError(f"{path}: {count} subgraphs, expected 1")
        codes = [read_code(reader, code) for code in reader.tables(model, "OperatorCodes")]
        graph = model.Subgraphs(0)
    with reader.at("buffers"):
        buffers = list(reader.tables(model, "Buffers"))
    operators = read_operators(reader, graph, codes)
    return Graph(read_tensors(reader, graph, buffers), operators, *read_ends(reader, graph))


def read_code(reader: Reader, code: Any) -> tuple[str, int]:
    """An operator's kind, and its version. Codes above 126 stand in a field that old readers don't know."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    name = reader.builtins.get(number, f"operator code {number}")
    if name == "CUSTOM":
        name = f"CUSTOM {reader.text(code.CustomCode())!r}"
    return name, code.Version()


def read_operators(reader: Reader, graph: Any, codes: list[tuple[str, int]]) -> tuple[Operator, ...]:
    operators: list[Operator] = []
    with reader.at("operators"):
        tables = reader.tables(graph, "Operators")
    while True:
        with reader.at(f"operator {len(operators)}"):
            table = next(tables, None)
            if table is None:
                return tuple(operators)
            index = table.OpcodeIndex()
            if not 0 <= index < len(codes):
                raise ValueError(f"operator code {index}, expected one of {len(codes)}")
            name, version = codes[index]
            inputs, outputs = (tuple(reader.vector(table, end).tolist()) for end in ("Inputs", "Outputs"))
            operators.append(Operator(len(operators), name, version, inputs, outputs, read_options(reader, table, name)))


def read_options(reader: Reader, table: Any, kind: str) -> dict[str, Any]:
    """The options of an operator whose kind is known."""
    wanted = KINDS[kind].options if kind in KINDS else ""
    if not wanted:
        return {}
    found, union = reader.options.get(table.BuiltinOptionsType()), table.BuiltinOptions()
    if found != wanted or union is None:
        raise ValueError(f"options are {found}, expected {wanted}")
    options = getattr(reader.schema, wanted)()
    options.Init(union.Bytes, union.Pos)
    return {name: getattr(options, name)() for name in KINDS[kind].fields}


def read_ends(reader: Reader, graph: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    with reader.at("inputs and outputs"):
        inputs, outputs = (tuple(reader.vector(graph, end).tolist()) for end in ("Inputs", "Outputs"))
        return inputs, outputs


def read_tensors(reader: Reader, graph: Any, buffers: list[Any]) -> tuple[Tensor, ...]:
    tensors: list[Tensor] = []
    with reader.at("tensors"):
        tables = reader.tables(graph, "Tensors")
    while True:
        with reader.at(f"tensor {len(tensors)}"):
            table = next(tables, None)
            if table is None:
                return tuple(tensors)
            tensors.append(read_tensor(reader, table, len(tensors), buffers))


def read_tensor(reader: Reader, table: Any, index: int, buffers: list[Any]) -> Tensor:
    """One tensor; what its type and its quantization must be depends on who reads it."""
    number = table.Type()
    name, shape = reader.text(table.Name()), tuple(reader.vector(table, "Shape").tolist())
    place = f"{reader.path}: tensor {index} ({name!r})"
    if number not in reader.types:
        raise InputError(f"{place}: type {number}, expected one of the schema's")
    if len(shape) > MAX_AXES or min(shape, default=1) < 1:
        raise InputError(f"{place}: shape {shape}, expected at most {MAX_AXES} axes, each of at least 1")
    fault = ""
    if table.Sparsity() is not None:
        fault = "is stored sparsely"
    elif table.IsVariable():
        fault = "keeps its value from one run to the next"
    data = None
    if not fault:
        data, fault = read_data(reader, table.Buffer(), reader.types[number], shape, buffers, place)
    is_open = bool((reader.vector(table, "ShapeSignature") < 0).any())
    return Tensor(index, name, reader.types[number], shape, read_quantization(reader, table.Quantization()), data, fault, is_open)


def read_data(
    reader: Reader, number: int, kind: str, shape: tuple[int, ...], buffers: list[Any], place: str
) -> tuple[np.ndarray | None, str]:
    """A constant's elements, a view of the file, or None where the buffer is empty; and why it is not read, if that is so."""
    if not 0 <= number < len(buffers):
        raise InputError(f"{place}: buffer {number}, expected one of {len(buffers)}")
    buffer = buffers[number]
    if buffer.Offset() > 1 or buffer.Size() > 1:
        return None, "has its data outside the flatbuffer"
    data = reader.vector(buffer, "Data")
    if not data.size:
        return None, ""
    if kind not in DTYPES:
        return None, f"is a constant of type {kind}"
    dtype = np.dtype(DTYPES[kind])
    if data.size != math.prod(shape) * dtype.itemsize:
        raise InputError(f"{place}: {data.size} bytes, expected {math.prod(shape) * dtype.itemsize} for {kind} of shape {shape}")
    return data.view(dtype).reshape(shape), ""


def read_quantization(reader: Reader, table: Any) -> Quantization:
    if table is None:
        return Quantization(np.empty(0, np.float32), np.empty(0, np.int64))
    scales, zero_points = reader.vector(table, "Scale"), reader.vector(table, "ZeroPoint")
    return Quantization(scales.astype(np.float32), zero_points.astype(np.int64), table.QuantizedDimension())
