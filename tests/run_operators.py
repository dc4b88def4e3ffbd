"""Hold what is computed of operators against every runtime: python tests/run_operators.py --count 100000

Of TensorFlow Lite's those whose steps round, with random scales and inputs near ties, and small files of all of them, with random inputs;
of ONNX Runtime's small models with random scales.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import folders  # noqa: F401 (where the modules below are)
import numpy as np
from onnx_files import Model, differing, read
from onnx_operators import CASES as ONNX_CASES
from operators import CASES, check_operator
from oracles import TFLITE
from tflite_networks import RuntimeModel
from tflite_operators import ABSENT, GRAPHS, TABLES, built

from qbitsat.errors import UnsupportedError
from qbitsat.importers import load
from qbitsat.network import forward

ONNX = ("onnxruntime", "onnxruntime-int8")
BATCH = 100
# Of one model, or some inputs: how many outputs there are, and how many differ.
Check = Callable[[], tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="outputs of each operator and runtime")
    parser.add_argument("--operators", nargs="+", help="all of a runtime's by default")
    parser.add_argument("--runtimes", nargs="+", choices=(*TFLITE, *ONNX), default=[*TFLITE, *ONNX])
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.runtimes:
            cases = dict.fromkeys((*CASES, *GRAPHS, *TABLES) if name in TFLITE else ONNX_CASES)
            for operator in arguments.operators or cases:
                if operator in cases and operator not in ABSENT.get(name, ()):
                    said = counted(checks(operator, name, arguments.seed, Path(folder)), arguments.count)
                    print(f"{operator:30} {name:17} {said}", flush=True)


def counted(check: Check, count: int) -> str:
    """So many outputs in words; models that are refused, as they are too near a tie, are made again."""
    outputs = wrong = checks = refused = 0
    while outputs < count:
        try:
            size, found = check()
        except UnsupportedError:
            refused += 1
            continue
        outputs, wrong, checks = outputs + size, wrong + found, checks + 1
    return f"{outputs} outputs in {checks} checks, {wrong} differ" + (f"; {refused} models refused" if refused else "")


def checks(operator: str, name: str, seed: int, folder: Path) -> Check:
    """A check of one random model after the other."""
    rng = np.random.default_rng(seed)
    if name in TFLITE and operator in CASES:
        return lambda: check_operator(operator, name, rng, 500)
    if name in TFLITE:
        return on_random_inputs(built(operator), name, rng, folder / "network.tflite")

    def check() -> tuple[int, int]:
        dtype = np.int8 if name == "onnxruntime-int8" or rng.random() < 0.5 else np.uint8
        model = ONNX_CASES[operator](Model(dtype, int(rng.integers(1 << 30))))
        return differing(model, read(model, folder, name), 60, int(rng.integers(1 << 30)))

    return check


def on_random_inputs(data: bytes, name: str, rng: np.random.Generator, path: Path) -> Check:
    """A check of one file on some inputs after the other."""
    path.write_bytes(data)
    network, model = load(path, runtime=name), RuntimeModel(name, data)

    def check() -> tuple[int, int]:
        x = rng.integers(network.input.lo, network.input.hi + 1, (BATCH, network.input.size))
        expected = np.stack([model.run(sample, network) for sample in x])
        return expected.size, int((forward(network, x) != expected).sum())

    return check


if __name__ == "__main__":
    main()
