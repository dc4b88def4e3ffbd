"""Mutate small .onnx files at random and load them: python tests/mutate_onnx.py --count 10000

Nothing may escape but a network or an error of ours, in little time and memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
from mutate_tflite import mutants
from onnx import helper, numpy_helper
from onnx_files import MODELS

from qbitsat.errors import QbitsatError
from qbitsat.importers import load, onnx_file
from qbitsat.importers.onnx_file import exact

# Seconds that a file may take, and MiB that all of them may.
SECONDS, MEMORY = 10, 2048


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        good, path = Path(folder, "good.onnx"), Path(folder, "mutant.onnx")
        for k, (name, model) in enumerate(MODELS.items()):
            good.write_bytes(model())
            load(good)
            rng = np.random.default_rng(args.seed + k)
            for i, mutant in enumerate(mutants(good, args.count // len(MODELS), args.seed + k)):
                if i % 2:
                    with suppress(ValueError, TypeError, OverflowError):
                        mutant = changed(good.read_bytes(), rng)
                path.write_bytes(mutant)
                began = time.monotonic()
                try:
                    load(path)
                    found["loaded"] += 1
                except QbitsatError as error:
                    found[type(error).__name__] += 1
                except BaseException:
                    print(f"{name}: mutant {i} of seed {args.seed + k}")
                    raise
                if time.monotonic() - began > SECONDS:
                    raise SystemExit(f"{name}: mutant {i} of seed {args.seed + k} takes more than {SECONDS} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{dict(found)}, {peak} MiB")
    if peak > MEMORY:
        raise SystemExit(f"more than {MEMORY} MiB")


if __name__ == "__main__":
    main()
