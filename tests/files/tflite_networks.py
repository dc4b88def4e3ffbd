"""Whole .tflite files in their runtimes: cut off before softmax, so that what is compared is what the network computes."""

from __future__ import annotations

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from oracles import RESOLVERS
from tflite_micro.python.tflite_micro import runtime as micro

from qbitsat.importers import load_inputs
from qbitsat.network import Network

AFTER = {getattr(schema.BuiltinOperator, name) for name in ("SOFTMAX", "LOG_SOFTMAX", "DEQUANTIZE")}
# Networks that LiteRT refuses, which takes the axis of a bias's scales seriously.
MICRO_ONLY = ("person_detect",)


def unpack(data: bytes) -> schema.ModelT:
    """The file as objects that can be changed."""
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def pack(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def without_softmax(data: bytes) -> bytes:
    """The file up to its last integers."""
    model = unpack(data)
    graph = model.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    while codes[graph.operators[-1].opcodeIndex] in AFTER:
        last = graph.operators.pop()
        graph.outputs = [last.inputs[0]]
    model.signatureDefs = None
    return pack(model)


class RuntimeModel:
    """A file, without softmax, loaded into a runtime once for many inputs."""

    def __init__(self, name: str, data: bytes):
        model = without_softmax(data)
        self.name = name
        if name == "tflm":
            self.micro = micro.Interpreter.from_bytes(model, arena_size=1 << 22)
            self.input = self.micro.get_input_details(0)
        else:
            self.lite = Interpreter(model_content=model, experimental_op_resolver_type=RESOLVERS[name], num_threads=1)
            self.lite.allocate_tensors()
            self.input = self.lite.get_input_details()[0]

    @property
    def unsigned_output(self) -> bool:
        """Whether its outputs are UINT8, 128 more than those of a network."""
        details = self.micro.get_output_details(0) if self.name == "tflm" else self.lite.get_output_details()[0]
        return np.dtype(details["dtype"]) == np.uint8

    def run(self, x: np.ndarray, network: Network) -> np.ndarray:
        """int64[outputs] for one input of the network, int64[size]; floats and UINT8 are what the file makes these integers of."""
        dtype = np.dtype(self.input["dtype"])
        form = network.input
        if dtype.kind == "f":
            x = np.float32(form.scale) * (x - form.zero_point).astype(np.float32)
        elif dtype == np.uint8:
            x = x + 128
        x = x.astype(dtype).reshape(self.input["shape"])
        if self.name == "tflm":
            self.micro.set_input(x, 0)
            self.micro.invoke()
            return self.micro.get_output(0).ravel().astype(np.int64)
        self.lite.set_tensor(self.input["index"], x)
        self.lite.invoke()
        return self.lite.get_tensor(self.lite.get_output_details()[0]["index"]).ravel().astype(np.int64)


def runs(name: str, path: Path) -> bool:
    """Whether a runtime takes the file."""
    return name == "tflm" or path.stem not in MICRO_ONLY


# Inputs that come with the benchmarks: arrays of integers, or the pixels of MNIST.
INPUTS = {
    "ad01_int8": "ad", "kws_ref_model": "kws", "pretrainedResnet_quant": "resnet", "str_ww_ref_model": "streaming_wakeword",
    "vww_96_int8": "vww",
}  # fmt: skip


def inputs_of(path: Path, network: Network, real: int, drawn: int) -> np.ndarray:
    """Up to so many real inputs of a benchmark file, and so many random ones: int64[n, size]."""
    benchmarks, size = path.parent.parent, network.input.size
    parts = [np.random.default_rng(1).integers(network.input.lo, network.input.hi + 1, (drawn, size))]
    if path.stem in INPUTS:
        given = np.load(benchmarks / "inputs" / f"{INPUTS[path.stem]}.npz")["inputs"]
        parts.append(given.reshape(len(given), size)[:real].astype(np.int64))
    elif "mnist" in path.stem:
        parts.append(load_inputs(benchmarks / "mnist" / "t10k-images-idx3-ubyte.gz", network.input)[:real])
    return np.concatenate(parts)
