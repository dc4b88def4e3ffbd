"""int8 .tflite files (TensorFlow Lite, LiteRT) as networks, exactly as one of their runtimes computes them.

flatbuffer    bytes -> records (tensors, operators), whatever the bytes are
survey        what is not read, all at once
rims          floats and UINT8 at both ends
floats        floats between DEQUANTIZE and QUANTIZE inside
convolutions, elementwise, reductions, shapes, picks, blocks, upsampling, selections
              one function an operator: it gives the wires of its outputs, and adds layers
builder       wires: which value or constant each element of a tensor is
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ...errors import ArgumentError, InputError, UnsupportedError, none_of
from ...network import Network
from ...network.names import printable
from ..files import MAX_BYTES, Path, choose_output, open_input, size_of, split_name
from ..runtimes import Runtime
from . import blocks, convolutions, elementwise, floats, picks, reductions, rims, selections, shapes, upsampling
from .builder import Builder
from .flatbuffer import IDENTIFIER, read_graph
from .records import Operator
from .survey import check_order, gives_floats, refuse_unsupported, toward

__all__ = ["IDENTIFIER", "RUNTIMES", "read"]

# Those that run .tflite files; the first is the default.
RUNTIMES = ("tflm", "tflite-ref", "tflite-opt", "xnnpack", "cmsis-single")

OPERATORS: dict[str, Callable[[Builder, Operator], None]] = {
    "FULLY_CONNECTED": convolutions.fully_connected,
    "CONV_2D": convolutions.conv_2d,
    "DEPTHWISE_CONV_2D": convolutions.depthwise_conv_2d,
    "AVERAGE_POOL_2D": convolutions.average_pool_2d,
    "MAX_POOL_2D": reductions.max_pool_2d,
    "MEAN": reductions.mean,
    "SUM": reductions.sum_,
    "REDUCE_MAX": reductions.extreme,
    "REDUCE_MIN": reductions.extreme,
    "ADD": elementwise.add,
    "SUB": elementwise.sub,
    "MUL": elementwise.mul,
    "MAXIMUM": elementwise.maximum,
    "MINIMUM": elementwise.minimum,
    "RELU": elementwise.relu,
    "RELU6": elementwise.relu,
    "RELU_N1_TO_1": elementwise.relu,
    "RELU_0_TO_1": elementwise.relu,
    "PRELU": elementwise.prelu,
    **dict.fromkeys(elementwise.TABLES, elementwise.table),
    "QUANTIZE": rims.quantize,
    "PAD": shapes.pad,
    "PADV2": shapes.pad,
    "RESHAPE": shapes.reshape,
    "SQUEEZE": shapes.reshape,
    "EXPAND_DIMS": shapes.reshape,
    "TRANSPOSE": shapes.transpose,
    "SHAPE": shapes.shape,
    "PACK": shapes.pack,
    "CONCATENATION": shapes.concatenation,
    "UNPACK": shapes.unpack,
    "SPLIT": shapes.split,
    "SPLIT_V": shapes.split_v,
    "SLICE": shapes.slice_,
    "STRIDED_SLICE": shapes.strided_slice,
    **picks.OPERATORS,
    **blocks.OPERATORS,
    **selections.OPERATORS,
    **upsampling.OPERATORS,
}


def read(path: Path, runtime: str) -> Network:
    """The network in the file, with the step functions of one of RUNTIMES."""
    if runtime not in RUNTIMES:
        raise ArgumentError("runtime", f"{os.fsdecode(path)}: {none_of(runtime, RUNTIMES)}")
    file, output = split_name(path)
    with open_input(file) as stream:
        size = size_of(stream)
        if size > MAX_BYTES:
            raise InputError(f"{path}: {size} bytes, expected at most {MAX_BYTES}")
        data = stream.read()
    place = os.fsdecode(path)
    graph = read_graph(data, place)
    check_order(graph, place)
    graph = toward(graph, choose_output([graph.tensors[index].name for index in graph.outputs], output, place))
    tail = rims.tail(graph)
    refuse_unsupported(graph, tail, runtime, place)
    b = Builder(graph, Runtime(runtime), place, len(data))
    with b.named("inputs"):
        for index in graph.inputs:
            rims.enter(b, b.tensors[index])
    for op in graph.operators:
        with b.named(op.place):
            (rims.pass_on if op.index in tail else floats.compute if gives_floats(graph, op) else OPERATORS[op.kind])(b, op)
    return finished(b, printable(os.path.splitext(os.path.basename(os.fsdecode(file)))[0]))


def finished(b: Builder, name: str) -> Network:
    """The network whose result is the graph's output."""
    with b.named("output"):
        values = b.values(b.of(b.tensors[b.graph.outputs[0]])).ravel()
    unknown = sum(form is None for form in b.entries.values())
    if unknown or not b.entries:
        raise UnsupportedError(
            f"{b.path}: {len(b.entries)} inputs, {len(b.entries) - unknown} of which become INT8; expected all, and at least one"
        )
    return b.finish(name, values, b.runtime.name)
