"""Writes .tflite files of many operators by the schema's object interface: right ones, and ones that are wrong on purpose."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {
    np.dtype(kind): getattr(schema.TensorType, name)
    for kind, name in (
        (np.int8, "INT8"),
        (np.uint8, "UINT8"),
        (np.int16, "INT16"),
        (np.int32, "INT32"),
        (np.float32, "FLOAT32"),
        (np.bool_, "BOOL"),
    )
}


class Graph:
    """A model in the making; `model` and `graph` are the schema's objects, to be changed before `pack`."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT(tensors=[], inputs=[], outputs=[], operators=[], name=b"main")
        self.model = schema.ModelT(version=3, operatorCodes=[], subgraphs=[self.graph], buffers=[schema.BufferT()], description=b"")

    def tensor(self, shape, scale=None, zero_point=0, dtype=np.int8, data=None, axis=0) -> int:
        """The index of a new tensor; scales are one, or one a slice along the axis."""
        entry = schema.TensorT(shape=list(shape), type=TYPES[np.dtype(dtype)], name=f"t{len(self.graph.tensors)}".encode(), hasRank=True)
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            zero_points = np.full(len(scales), zero_point, np.int64)
            entry.quantization = schema.QuantizationParametersT(scale=scales, zeroPoint=zero_points, quantizedDimension=axis)
        if data is not None:
            entry.buffer = len(self.model.buffers)
            raw = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self.model.buffers.append(schema.BufferT(data=raw))
        self.graph.tensors.append(entry)
        return len(self.graph.tensors) - 1

    def constant(self, data, scale=None, zero_point=0, axis=0, dtype=np.int32) -> int:
        data = np.asarray(data, dtype)
        return self.tensor(data.shape, scale, zero_point, dtype, data, axis)

    def input(self, shape, scale=None, zero_point=0, dtype=np.int8) -> int:
        self.graph.inputs.append(self.tensor(shape, scale, zero_point, dtype))
        return self.graph.inputs[-1]

    def operator(self, kind: str, inputs: list[int], outputs: list[int], options: Any = None, version: int = 1) -> list[int]:
        """Add an operator; its outputs."""
        code = getattr(schema.BuiltinOperator, kind)
        self.model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=min(code, 127), builtinCode=code, version=version))
        entry = schema.OperatorT(opcodeIndex=len(self.model.operatorCodes) - 1, inputs=inputs, outputs=outputs)
        if options is not None:
            entry.builtinOptions = options
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T"))
        self.graph.operators.append(entry)
        return outputs

    def pack(self, *outputs: int) -> bytes:
        if outputs:
            self.graph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # --- operators with their outputs ---

    def dense(self, x: int, n_out: int, seed: int = 0, scale=0.05, zero_point: int = -3, fused: int = 0) -> int:
        """FULLY_CONNECTED with random weights."""
        rng = np.random.default_rng(seed)
        n_in = int(np.prod(self.graph.tensors[x].shape))
        weights = self.constant(rng.integers(-127, 128, (n_out, n_in)), 0.01, dtype=np.int8)
        bias = self.constant(rng.integers(-2000, 2000, n_out), self.scale(x) * np.float32(0.01))
        y = self.tensor((1, n_out), scale, zero_point)
        self.operator("FULLY_CONNECTED", [x, weights, bias], [y], schema.FullyConnectedOptionsT(fusedActivationFunction=fused), 4)
        return y

    def conv(
        self, x: int, n_out: int, shape, kernel=(3, 3), stride: int = 1, same: bool = True, seed: int = 1, weights=None, bias=None
    ) -> int:
        """CONV_2D with a scale for each channel."""
        rng = np.random.default_rng(seed)
        weights = rng.integers(-127, 128, (n_out, *kernel, self.graph.tensors[x].shape[3])) if weights is None else weights
        bias = rng.integers(-2000, 2000, n_out) if bias is None else bias
        scales = rng.uniform(0.002, 0.01, n_out).astype(np.float32)
        inputs = [x, self.constant(weights, scales, dtype=np.int8), self.constant(bias, self.scale(x) * scales)]
        padding = schema.Padding.SAME if same else schema.Padding.VALID
        options = schema.Conv2DOptionsT(padding=padding, strideW=stride, strideH=stride, dilationWFactor=1, dilationHFactor=1)
        return self.operator("CONV_2D", inputs, [self.tensor(shape, 0.04, -7)], options, 3)[0]

    def scale(self, x: int) -> np.float32:
        return np.float32(self.graph.tensors[x].quantization.scale[0])

    def like(self, x: int, shape) -> int:
        """A tensor with the same scale and zero point."""
        q = self.graph.tensors[x].quantization
        return self.tensor(shape, q.scale[0], int(q.zeroPoint[0]))
