"""Mutate small .onnx files at random and load them: python tests/mutate_onnx.py --count 10000

Nothing may escape but a network or an error of ours, in little time and memory.
"""

from __future__ import annotations

import folders  # noqa: F401 (where the modules below are)
import mutating
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx_files import MODELS

from qbitsat.importers import load, onnx_file
from qbitsat.importers.onnx_file import exact

NUMBERS = (-(1 << 63), -(1 << 31), -2, -1, 0, 1, 2, 3, 7, 255, 1 << 16, 1 << 31, (1 << 63) - 1)
FLOATS = (0.0, -0.0, -1.0, 1e-40, 1e-30, 0.5, 1e30, np.inf, np.nan)
OPERATORS = sorted({*onnx_file.QUANTIZED, *exact.OPERATORS})


def changed(data: bytes, rng: np.random.Generator) -> bytes:
    """A model of which some parts are others: operators, names, attributes, shapes, types, constants."""
    model = onnx.load_from_string(data)
    graph = model.graph
    names = [name for node in graph.node for name in (*node.input, *node.output)] + [""]
    for _ in range(rng.integers(1, 4)):
        node, tensor = graph.node[rng.integers(len(graph.node))], graph.initializer[rng.integers(len(graph.initializer))]
        way = rng.integers(9)
        if way == 0:
            node.op_type = str(rng.choice(OPERATORS)).split(".")[-1]
        elif way == 1 and node.input:
            node.input[rng.integers(len(node.input))] = str(rng.choice(names))
        elif way == 2 and node.attribute:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            attribute.i, attribute.f = int(rng.choice(NUMBERS)), float(rng.choice(FLOATS))
            for i in range(len(attribute.ints)):
                attribute.ints[i] = int(rng.choice(NUMBERS))
        elif way == 3 and tensor.dims:
            tensor.dims[rng.integers(len(tensor.dims))] = int(rng.choice(NUMBERS))
        elif way == 4:
            tensor.data_type = int(rng.integers(0, 24))
        elif way == 5:
            array = numpy_helper.to_array(tensor).copy()
            if array.size:
                array.flat[rng.integers(array.size)] = rng.choice(FLOATS if array.dtype.kind == "f" else (-1, 0, 1, 2, 3, 100))
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        elif way == 6:
            shape = graph.input[rng.integers(len(graph.input))].type.tensor_type.shape.dim
            shape[rng.integers(len(shape))].dim_value = int(rng.choice(NUMBERS))
        elif way == 7:
            del graph.node[rng.integers(len(graph.node))]
            if not graph.node:
                break
        else:
            node.attribute.append(helper.make_attribute(str(rng.choice(ATTRIBUTES)), int(rng.choice(NUMBERS))))
    return model.SerializeToString()


ATTRIBUTES = (
    "axis",
    "transB",
    "group",
    "ceil_mode",
    "keepdims",
    "allowzero",
    "to",
    "channels_last",
    "signed",
    "narrow",
    "auto_pad",
    "pads",
)


if __name__ == "__main__":
    models = {f"{name}.onnx": model() for name, model in MODELS.items()}
    mutating.main(__doc__, models, lambda path, _: load(path), lambda _, data, rng: changed(data, rng))
