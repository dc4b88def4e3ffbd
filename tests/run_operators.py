"""Hold the steps of every runtime against the runtime itself: python tests/run_operators.py --count 100000"""

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

from qbitsat.errors import UnsupportedError

ONNX = ("onnxruntime", "onnxruntime-int8")
# A model: how many outputs it has, and how many of them differ.
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
            cases = CASES if name in TFLITE else ONNX_CASES
            for operator in arguments.operators or cases:
                if operator in cases:
                    print(
                        f"{operator:30} {name:17} {counted(checks(operator, name, arguments.seed, Path(folder)), arguments.count)}",
                        flush=True,
                    )


def counted(check: Check, count: int) -> str:
    """So many outputs in words; models that are refused, as they are too near a tie, are made again."""
    outputs = wrong = models = refused = 0
    while outputs < count:
        try:
            size, found = check()
        except UnsupportedError:
            refused += 1
            continue
        outputs, wrong, models = outputs + size, wrong + found, models + 1
    return f"{outputs} outputs of {models} models, {wrong} differ" + (f"; {refused} models refused" if refused else "")


def checks(operator: str, name: str, seed: int, folder: Path) -> Check:
    """A check of one random model after the other."""
    rng = np.random.default_rng(seed)
    if name in TFLITE:
        return lambda: check_operator(operator, name, rng, 500)

    def check() -> tuple[int, int]:
        dtype = np.int8 if name == "onnxruntime-int8" or rng.random() < 0.5 else np.uint8
        model = ONNX_CASES[operator](Model(dtype, int(rng.integers(1 << 30))))
        return differing(model, read(model, folder, name), 60, int(rng.integers(1 << 30)))

    return check


if __name__ == "__main__":
    main()
