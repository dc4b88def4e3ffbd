"""Quantized .onnx files as networks, exactly as ONNX Runtime computes them, or exactly as their operators are defined.

protobuf     bytes -> records (nodes, constants), whatever the bytes are
survey       what is not read, all at once
session      a graph that is followed: what each tensor is (values)
shapes, resizing    operators that move elements
quantizing   QuantizeLinear, DequantizeLinear, and what the runtime computes in integers between them
affine, elementwise, functions, pools    operators of QDQ and QLinear files, in the runtime's arithmetic
floats, means, tables         arithmetic in float32 as step functions of integers
exact, pending                operators of files whose numbers are exact, in rational arithmetic
"""

from __future__ import annotations

import os

import numpy as np

from ...errors import ArgumentError, InputError, none_of
from ...network import Network
from ...network.names import printable
from .. import foreign
from ..assembly import Builder
from ..files import MAX_BYTES, Path, choose_output, open_input, size_of, split_name
from . import affine, elementwise, exact, functions, pools, quantizing, resizing, shapes
from .protobuf import read_graph
from .session import Handler, Session
from .survey import EXACT, refuse_unsupported, toward

__all__ = ["RUNTIMES", "is_onnx", "read"]

# The first bytes of any field of a ModelProto.
FIRST_TAGS = tuple(bytes([tag]) for tag in (0x08, *foreign.ONNX_TAGS))

RUNTIMES = ("onnxruntime", "onnxruntime-int8", "onnxruntime-novnni")

QUANTIZED: dict[str, Handler] = {
    **shapes.OPERATORS,
    "Resize": resizing.resize,
    "QuantizeLinear": quantizing.quantize_linear,
    "DequantizeLinear": quantizing.dequantize_linear,
    "Conv": affine.conv,
    "MatMul": affine.matmul,
    "Gemm": affine.gemm,
    "QLinearConv": affine.qlinear_conv,
    "QLinearMatMul": affine.qlinear_matmul,
    "com.microsoft.QGemm": affine.qgemm,
    "MaxPool": pools.max_pool,
    "GlobalMaxPool": pools.global_max_pool,
    "ReduceMax": pools.reduce_max,
    "ReduceMean": pools.reduce_mean,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "com.microsoft.QLinearAveragePool": pools.qlinear_average_pool,
    "com.microsoft.QLinearGlobalAveragePool": pools.qlinear_global_average_pool,
    "Add": elementwise.binary,
    "Sub": elementwise.binary,
    "Mul": elementwise.binary,
    "Div": elementwise.binary,
    "com.microsoft.QLinearAdd": elementwise.qlinear_binary,
    "com.microsoft.QLinearMul": elementwise.qlinear_binary,
    "com.microsoft.QLinearLeakyRelu": functions.qlinear_leaky,
    "com.microsoft.QLinearConcat": elementwise.qlinear_concat,
    "Relu": functions.unary,
    "Clip": functions.unary,
    "LeakyRelu": functions.unary,
    "Neg": functions.unary,
    "Abs": functions.unary,
    "HardSigmoid": functions.unary,
    "HardSwish": functions.unary,
    "PRelu": functions.prelu,
    "BatchNormalization": functions.batch_normalization,
    "Concat": elementwise.concat,
    "Pad": elementwise.pad,
    "Softmax": elementwise.squash,
    "LogSoftmax": elementwise.squash,
    "Sigmoid": elementwise.squash,
    "Tanh": functions.sigmoid,
    "com.microsoft.QLinearSoftmax": elementwise.squash,
    "com.microsoft.QLinearSigmoid": elementwise.squash,
}


def is_onnx(head: bytes, path: Path) -> bool:
    """Whether a file is an ONNX model by its first bytes; those of other protocol buffers are told by their names."""
    return foreign.begins_onnx(head) or (os.fsdecode(path).endswith(".onnx") and head[:1] in FIRST_TAGS)


def read(path: Path, runtime: str | None = None) -> Network:
    """The network in the file; runtime is one of RUNTIMES, whose first is the default."""
    file, output = split_name(path)
    with open_input(file) as stream:
        size = size_of(stream)
        if size > MAX_BYTES // 4:
            raise InputError(f"{path}: {size} bytes, expected at most {MAX_BYTES // 4}")
        data = stream.read()
    place = os.fsdecode(path)
    graph = read_graph(data, place)
    end = graph.outputs[choose_output(graph.outputs, output, place)]
    nodes = toward(graph, end)
    is_exact = any(node.op in EXACT for node in graph.nodes)
    if is_exact and runtime is not None:
        raise ArgumentError("runtime", f"{runtime}, but {place} is exact by its operators and needs none; expected none")
    if runtime is not None and runtime not in RUNTIMES:
        raise ArgumentError("runtime", f"{place}: {none_of(runtime, RUNTIMES)}")
    operators, result = (exact.OPERATORS, exact.result) if is_exact else (QUANTIZED, elementwise.result)
    refuse_unsupported(nodes, operators, place)
    session = Session(graph, Builder(place, size), runtime or RUNTIMES[0])
    # Constants may be any floats; what comes of them is checked where it matters.
    with np.errstate(all="ignore"):
        session.follow(operators, nodes, end)
    name = printable(os.path.splitext(os.path.basename(os.fsdecode(file)))[0])
    return session.finish(name, end, "" if is_exact else session.runtime, result)
