"""Writes int8 .tflite models of one operator, by the schema's object interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
}


@dataclass
class Tensor:
    """A tensor with its quantization: scales float32[n] and zero points, along an axis if there are several; data where it is constant."""

    shape: tuple[int, ...]
    scale: Any = None
    zero_point: int = 0
    axis: int = 0
    data: np.ndarray | None = None
    dtype: Any = np.int8


def constant(data, scale=None, axis: int = 0) -> Tensor:
    """A constant tensor of its data's type; zero points are 0."""
    data = np.asarray(data)
    return Tensor(data.shape, scale, 0, axis, data, data.dtype)


def activation(name: str | None) -> int:
    """The fused activation of a name: None, RELU, RELU6 or RELU_N1_TO_1."""
    return getattr(schema.ActivationFunctionType, name or "NONE")


def model(operator: str, inputs: list[Tensor], output: Tensor, options: Any = None) -> bytes:
    """A model with one operator, as `FULLY_CONNECTED`; `options` is the schema's object, for instance `FullyConnectedOptionsT`."""
    tensors = [*inputs, output]
    buffers = [schema.BufferT()]
    listed = []
    for number, tensor in enumerate(tensors):
        entry = schema.TensorT(shape=list(tensor.shape), type=TYPES[np.dtype(tensor.dtype)], name=f"t{number}".encode(), hasRank=True)
        if tensor.scale is not None:
            scales = np.atleast_1d(np.asarray(tensor.scale, np.float32))
            entry.quantization = schema.QuantizationParametersT(
                scale=scales, zeroPoint=np.full(len(scales), tensor.zero_point, np.int64), quantizedDimension=tensor.axis
            )
        if tensor.data is not None:
            entry.buffer = len(buffers)
            buffers.append(schema.BufferT(data=np.frombuffer(np.ascontiguousarray(tensor.data).tobytes(), np.uint8)))
        listed.append(entry)
    code = getattr(schema.BuiltinOperator, operator)
    step = schema.OperatorT(opcodeIndex=0, inputs=list(range(len(inputs))), outputs=[len(inputs)])
    if options is not None:
        step.builtinOptions = options
        step.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
    variable = [number for number, tensor in enumerate(inputs) if tensor.data is None]
    graph = schema.SubGraphT(tensors=listed, inputs=variable, outputs=[len(inputs)], operators=[step], name=b"main")
    opcode = schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=1)
    whole = schema.ModelT(version=3, operatorCodes=[opcode], subgraphs=[graph], buffers=buffers, description=b"")
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_bias(x: Tensor, weights, weight_scale, axis: int, bias) -> list[Tensor]:
    """The inputs of an affine operator; the bias has the scales that converters give it, without which XNNPACK declines."""
    weight_scale = np.asarray(weight_scale, np.float32)
    return [x, constant(weights, weight_scale, axis), constant(np.asarray(bias, np.int32), np.float32(x.scale) * weight_scale)]


def dense(x: Tensor, weights, weight_scale, bias, output: Tensor, fused: str | None = None) -> bytes:
    """weights int8[n_out, n_in], bias int32[n_out]."""
    inputs = with_bias(x, weights, weight_scale, 0, bias)
    return model("FULLY_CONNECTED", inputs, output, schema.FullyConnectedOptionsT(fusedActivationFunction=activation(fused)))


def convolution(x: Tensor, weights, weight_scale, bias, output: Tensor, fused: str | None = None) -> bytes:
    """weights int8[n_out, kh, kw, c_in], stride 1, no padding."""
    inputs = with_bias(x, weights, weight_scale, 0, bias)
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1, fusedActivationFunction=activation(fused))
    return model("CONV_2D", inputs, output, options)


def depthwise(x: Tensor, weights, weight_scale, bias, output: Tensor, fused: str | None = None) -> bytes:
    """weights int8[1, kh, kw, c_in * multiplier], stride 1, no padding."""
    inputs = with_bias(x, weights, weight_scale, 3, bias)
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID,
        strideW=1,
        strideH=1,
        depthMultiplier=np.shape(weights)[3] // x.shape[3],
        fusedActivationFunction=activation(fused),
    )
    return model("DEPTHWISE_CONV_2D", inputs, output, options)


def transposed(x: Tensor, weights, weight_scale, bias, output: Tensor, fused: str | None = None) -> bytes:
    """weights int8[n_out, kh, kw, c_in], stride 1, no padding."""
    inputs = [constant(np.asarray(output.shape, np.int32)), *with_bias(x, weights, weight_scale, 0, bias)]
    inputs[1:3] = inputs[2:0:-1]
    options = schema.TransposeConvOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1, fusedActivationFunction=activation(fused))
    return model("TRANSPOSE_CONV", inputs, output, options)


def pool(operator: str, x: Tensor, output: Tensor, fused: str | None = None) -> bytes:
    """AVERAGE_POOL_2D or MAX_POOL_2D over the whole image."""
    options = schema.Pool2DOptionsT(
        padding=schema.Padding.VALID,
        strideW=1,
        strideH=1,
        filterWidth=x.shape[2],
        filterHeight=x.shape[1],
        fusedActivationFunction=activation(fused),
    )
    return model(operator, [x], output, options)


def reduction(operator: str, x: Tensor, output: Tensor) -> bytes:
    """MEAN or SUM over height and width; axes are not kept."""
    return model(operator, [x, constant(np.array([1, 2], np.int32))], output, schema.ReducerOptionsT(keepDims=False))


def binary(operator: str, a: Tensor, b: Tensor, output: Tensor, fused: str | None = None) -> bytes:
    """ADD, SUB or MUL."""
    kind = getattr(schema, f"{operator.title()}OptionsT")
    return model(operator, [a, b], output, kind(fusedActivationFunction=activation(fused)))


def unary(operator: str, x: Tensor, output: Tensor, alpha: float = 0.0) -> bytes:
    """QUANTIZE, LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU, RELU, RELU6, ..."""
    options = {
        "QUANTIZE": schema.QuantizeOptionsT(),
        "GELU": schema.GeluOptionsT(approximate=False),
        "GELU approximate": schema.GeluOptionsT(approximate=True),
        "HARD_SWISH": schema.HardSwishOptionsT(),
        "LEAKY_RELU": schema.LeakyReluOptionsT(alpha=alpha),
    }
    return model(operator.split()[0], [x], output, options.get(operator))


def prelu(x: Tensor, slopes: Tensor, output: Tensor) -> bytes:
    return model("PRELU", [x, slopes], output)
