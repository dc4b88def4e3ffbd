"""SavedModels of TensorFlow, which TensorFlow loads and freezes: the graph that is left is read as if it were ONNX.

A SavedModel is a program: TensorFlow runs what it says initializes it. Nothing else of it is run here.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnsupportedError
from ..network.float_network import FloatNetwork
from . import onnx_floats
from .files import Path, damaged, placed
from .float_builder import unsupported
from .onnx_file.records import Graph, Input, Node

FILE = "saved_model.pb"
OPSET = 12
IMAGE_FIRST, IMAGE_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
# Operators that only have another name in ONNX, with the attributes that they get.
SAME: dict[str, tuple[str, dict[str, Any]]] = {
    "Add": ("Add", {}), "AddV2": ("Add", {}), "BiasAdd": ("Add", {}), "Sub": ("Sub", {}), "Mul": ("Mul", {}), "RealDiv": ("Div", {}),
    "AddN": ("Sum", {}), "Neg": ("Neg", {}), "Relu": ("Relu", {}), "Relu6": ("Clip", {"min": 0.0, "max": 6.0}), "Sigmoid": ("Sigmoid", {}),
    "Tanh": ("Tanh", {}), "Softmax": ("Softmax", {"axis": -1}), "Maximum": ("Max", {}), "Minimum": ("Min", {}), "Reshape": ("Reshape", {}),
    "Shape": ("Shape", {}),
}  # fmt: skip
PASSED = ("Identity", "StopGradient", "Snapshot", "PreventGradient")
# What is computed of constants alone.
CONSTANTS: dict[str, Any] = {
    "Add": np.add, "AddV2": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide, "Sqrt": np.sqrt,
    "Rsqrt": lambda x: 1 / np.sqrt(x), "Neg": np.negative, "Maximum": np.maximum, "Minimum": np.minimum,
    "Reshape": lambda x, shape: x.reshape(shape), "ConcatV2": lambda *parts: np.concatenate(parts[:-1], int(parts[-1])),
    "ExpandDims": lambda x, axis: np.expand_dims(x, int(axis)),
}  # fmt: skip
POOLS = {"MaxPool": "MaxPool", "AvgPool": "AveragePool"}
REDUCTIONS = {"Mean": "ReduceMean", "Max": "ReduceMax"}
OTHERS = ("MatMul", "Conv2D", "DepthwiseConv2dNative", "FusedBatchNormV3", "LeakyRelu", "Pad", "PadV2", "ConcatV2", "Squeeze", "ExpandDims",
          "Transpose", "StridedSlice", "Pack", "GatherV2", "Prod", "Placeholder", "Const", "NoOp", "Rsqrt", "Sqrt")  # fmt: skip
KNOWN = {*SAME, *PASSED, *POOLS, *REDUCTIONS, *OTHERS}


def read(path: Path) -> FloatNetwork:
    """The network that the signature "serving_default" computes, or the only one there is."""
    place = os.fsdecode(path)
    graph_def, inputs, outputs, make_array = frozen_graph(place)
    faults: dict[str, list[str]] = {}
    for node in graph_def.node:
        if node.op not in KNOWN:
            faults.setdefault(node.op, []).append(node.name)
    if faults:
        raise unsupported(place, [f"operation {op} ({', '.join(names[:8])})" for op, names in faults.items()])
    t = Translation(make_array)
    for node in graph_def.node:
        with placed(f"{place}: {node.name} ({node.op})"), damaged(node.name, "graph", (ValueError, TypeError, IndexError, KeyError)):
            t.add(node)
    ends = tuple(t.name(name) for name in outputs)
    entered = tuple(t.inputs[name.split(":")[0]] for name in inputs)
    return onnx_floats.followed(Graph(tuple(t.nodes), t.constants, entered, ends, OPSET), path)


def frozen_graph(place: str) -> tuple[Any, list[str], list[str], Any]:
    """The graph with constants for variables, the names of its inputs and outputs, and what makes an array of a constant."""
    try:
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    except ImportError:
        raise MissingExtraError("tensorflow", "train", f"{place}: reading a SavedModel") from None
    with damaged(place, "SavedModel", (Exception,)), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Variables live as long as what is loaded.
        loaded = tf.saved_model.load(place)
        signatures = loaded.signatures
        names = list(signatures)
        name = "serving_default" if "serving_default" in names else names[0] if len(names) == 1 else ""
        frozen = convert_variables_to_constants_v2(signatures[name]) if name else None
    if frozen is None:
        raise UnsupportedError(f"{place}: signatures {', '.join(names) or 'none'}, expected serving_default, or one")
    return frozen.graph.as_graph_def(), [x.name for x in frozen.inputs], [x.name for x in frozen.outputs], tf.make_ndarray


class Translation:
    """Nodes of ONNX for those of TensorFlow; images are turned to channels first and back, which cancels."""

    def __init__(self, make_array: Any):
        self.make_array = make_array
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: dict[str, Input] = {}
        self.same: dict[str, str] = {}

    def name(self, tensor: str) -> str:
        """The name here of what is "node" or "node:0" there."""
        node, _, number = tensor.partition(":")
        if number not in ("", "0"):
            raise UnsupportedError(f"reads {tensor}, a second output")
        return self.same.get(node, node)

    def constant(self, name: str) -> np.ndarray:
        if name not in self.constants:
            raise UnsupportedError(f"{name} is computed, expected a constant")
        return self.constants[name]

    def emit(self, title: str, op: str, inputs: tuple[str, ...], output: str = "", **attributes: Any) -> str:
        """One more node; the name of what it gives."""
        output = output or f"{title}/{op}/{len(self.nodes)}"
        self.nodes.append(Node(len(self.nodes), op, "", title, inputs, (output,), attributes))
        return output

    def store(self, title: str, array: np.ndarray) -> str:
        name = f"{title}/constant/{len(self.constants)}"
        self.constants[name] = array
        return name

    def add(self, node: Any) -> None:
        reads = tuple(self.name(name) for name in node.input if not name.startswith("^"))
        if node.op == "Placeholder":
            shape = tuple(dim.size if dim.size > 0 else None for dim in node.attr["shape"].shape.dim)
            self.inputs[node.name] = Input(node.name, "float32" if node.attr["dtype"].type == 1 else "no float32", shape)
        elif node.op == "Const":
            self.constants[node.name] = np.asarray(self.make_array(node.attr["value"].tensor))
        elif node.op in PASSED:
            self.same[node.name] = reads[0]
        elif node.op in CONSTANTS and all(name in self.constants for name in reads):
            self.constants[node.name] = np.asarray(CONSTANTS[node.op](*(self.constants[name] for name in reads)))
        elif node.op in SAME:
            op, attributes = SAME[node.op]
            self.refuse_channels_first(node)
            self.emit(node.name, op, reads, node.name, **attributes)
        elif node.op != "NoOp":
            self.other(node, reads)

    def refuse_channels_first(self, node: Any) -> None:
        if "data_format" in node.attr and node.attr["data_format"].s not in (b"NHWC", b""):
            raise UnsupportedError(f"data_format {node.attr['data_format'].s!r}, expected NHWC")

    def other(self, node: Any, reads: tuple[str, ...]) -> None:
        """Operators whose operands or attributes are others in ONNX."""
        name, attr = node.name, node.attr
        if node.op in ("Conv2D", "DepthwiseConv2dNative", "FusedBatchNormV3") or node.op in POOLS:
            self.refuse_channels_first(node)
            self.image(node, reads)
        elif node.op in REDUCTIONS:
            axes = np.atleast_1d(self.constant(reads[1])).tolist()
            if sorted(axes) not in ([1], [1, 2]):
                raise UnsupportedError(f"over axes {axes}, expected those of an image or a sequence")
            first, last = (IMAGE_FIRST, IMAGE_LAST) if len(axes) == 2 else ((0, 2, 1), (0, 2, 1))
            x = self.emit(name, "Transpose", reads[:1], perm=first)
            kept = bool(attr["keep_dims"].b)
            y = self.emit(name, REDUCTIONS[node.op], (x,), "" if kept else name, axes=tuple(range(2, len(first))), keepdims=int(kept))
            if kept:
                self.emit(name, "Transpose", (y,), name, perm=last)
        elif node.op == "MatMul":
            if attr["transpose_a"].b:
                raise UnsupportedError("transpose_a, expected none")
            weights = reads[1] if not attr["transpose_b"].b else self.store(name, self.constant(reads[1]).T)
            self.emit(name, "MatMul", (reads[0], weights), name)
        elif node.op == "LeakyRelu":
            self.emit(name, "LeakyRelu", reads, name, alpha=attr["alpha"].f)
        elif node.op in ("Pad", "PadV2"):
            self.emit(name, "Pad", (reads[0], self.store(name, self.constant(reads[1]).T.reshape(-1)), *reads[2:]), name)
        elif node.op == "ConcatV2":
            self.emit(name, "Concat", reads[:-1], name, axis=int(self.constant(reads[-1])))
        elif node.op == "Squeeze":
            self.emit(name, "Squeeze", reads, name, axes=tuple(attr["squeeze_dims"].list.i) or None)
        elif node.op == "ExpandDims":
            self.emit(name, "Unsqueeze", reads[:1], name, axes=(int(self.constant(reads[1])),))
        elif node.op == "Transpose":
            self.emit(name, "Transpose", reads[:1], name, perm=tuple(self.constant(reads[1]).tolist()))
        elif node.op == "StridedSlice" and attr["shrink_axis_mask"].i == 1:
            self.emit(name, "Gather", (reads[0], self.store(name, self.constant(reads[1]).reshape(()))), name)
        elif node.op == "GatherV2":
            self.emit(name, "Gather", reads[:2], name, axis=int(self.constant(reads[2])))
        elif node.op == "Prod":
            axes = tuple(np.atleast_1d(self.constant(reads[1])).tolist())
            self.emit(name, "ReduceProd", reads[:1], name, axes=axes, keepdims=int(attr["keep_dims"].b))
        elif node.op == "Pack":
            self.emit(name, "Concat", tuple(self.emit(name, "Unsqueeze", (part,), axes=(0,)) for part in reads), name, axis=0)
        else:
            raise UnsupportedError("of what is computed, or of parts of tensors")

    def image(self, node: Any, reads: tuple[str, ...]) -> None:
        """Convolutions, pools and batch normalization."""
        name, attr = node.name, node.attr
        x = self.emit(name, "Transpose", reads[:1], perm=IMAGE_FIRST)
        if node.op == "FusedBatchNormV3":
            if attr["is_training"].b:
                raise UnsupportedError("is_training, expected none")
            y = self.emit(name, "BatchNormalization", (x, *reads[1:5]), epsilon=attr["epsilon"].f)
        elif node.op in POOLS:
            y = self.emit(name, POOLS[node.op], (x,), kernel_shape=tuple(attr["ksize"].list.i)[1:3], **geometry(attr))
        else:
            kernel = self.constant(reads[1])
            if kernel.ndim != 4:
                raise InputError(f"weights of shape {kernel.shape}, expected 4 axes")
            height, width, channels, n_out = kernel.shape
            if node.op == "Conv2D":
                kernel, groups = kernel.transpose(3, 2, 0, 1), 1
            else:
                kernel, groups = kernel.reshape(height, width, channels * n_out).transpose(2, 0, 1)[:, None], channels
            y = self.emit(name, "Conv", (x, self.store(name, kernel)), group=groups, **geometry(attr))
        self.emit(name, "Transpose", (y,), name, perm=IMAGE_LAST)


def geometry(attr: Any) -> dict[str, Any]:
    """Strides, dilations and padding, as ONNX has them."""
    found: dict[str, Any] = {"strides": tuple(attr["strides"].list.i)[1:3]}
    if "dilations" in attr:
        found["dilations"] = tuple(attr["dilations"].list.i)[1:3]
    kind = attr["padding"].s
    if kind == b"EXPLICIT":
        pads = tuple(attr["explicit_paddings"].list.i)
        return {**found, "pads": (pads[2], pads[4], pads[3], pads[5])}
    return {**found, "auto_pad": "SAME_UPPER" if kind == b"SAME" else "VALID"}
