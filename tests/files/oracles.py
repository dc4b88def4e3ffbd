"""The runtimes themselves: what they compute for a model and inputs."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime as micro

from qbitsat.importers import load
from qbitsat.network import forward

RESOLVERS = {
    "tflite-ref": OpResolverType.BUILTIN_REF,
    "tflite-opt": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.BUILTIN,
}
TFLITE = ("tflm", *RESOLVERS)


def run_tflite(name: str, model: bytes, *inputs: np.ndarray) -> np.ndarray:
    """The first output of a .tflite model in a runtime of TFLite."""
    if name == "tflm":
        interpreter = micro.Interpreter.from_bytes(model, arena_size=1 << 24)
        for i, x in enumerate(inputs):
            interpreter.set_input(x, i)
        interpreter.invoke()
        return interpreter.get_output(0)
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=RESOLVERS[name], num_threads=1)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def differing(tmp_path, data: bytes, runtime: str, samples: np.ndarray, least: int = 6) -> int:
    """How many outputs differ, of samples (n, inputs, *shape of each), which give at least so many integers."""
    path = tmp_path / "network.tflite"
    path.write_bytes(data)
    found = forward(load(path, runtime=runtime), samples.reshape(len(samples), -1))
    expected = np.stack([run_tflite(runtime, data, *inputs).ravel() for inputs in samples.astype(np.int8)])
    assert len(np.unique(expected)) >= least
    return int((found != expected).sum())
