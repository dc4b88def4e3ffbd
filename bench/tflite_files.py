"""Every .tflite file of the benchmarks in every runtime: how many of its outputs differ from what is computed here.

python -m bench.tflite_files [--real N] [--random N] [--files NAME ...] [--runtimes NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from oracles import TFLITE
from tflite_networks import RuntimeModel, inputs_of, runs

from bench.suite import DATA
from qbitsat.importers import load
from qbitsat.network import forward

BATCH = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, default=100, help="at most so many of the inputs that come with a file")
    parser.add_argument("--random", type=int, default=100, help="so many random ones")
    parser.add_argument("--files", nargs="+", default=[path.stem for path in sorted((DATA / "tflite").glob("*.tflite"))])
    parser.add_argument("--runtimes", nargs="+", default=list(TFLITE), choices=TFLITE)
    args = parser.parse_args()
    print(f"{'file':<26}{'runtime':<12}{'inputs':>7}{'elements':>10}{'differing':>10}{'seconds':>9}")
    total = 0
    for path in (DATA / "tflite" / f"{name}.tflite" for name in args.files):
        for runtime in args.runtimes:
            if not runs(runtime, path):
                print(f"{path.stem:<26}{runtime:<12} does not run it")
                continue
            start = time.perf_counter()
            inputs, elements, differing = compared(path, runtime, args.real, args.random)
            total += differing
            print(f"{path.stem:<26}{runtime:<12}{inputs:>7}{elements:>10}{differing:>10}{time.perf_counter() - start:>9.1f}", flush=True)
    sys.exit(1 if total else 0)


def compared(path: Path, runtime: str, real: int, drawn: int) -> tuple[int, int, int]:
    """Inputs, elements of their outputs, and how many of these differ."""
    network, model = load(path, runtime=runtime), RuntimeModel(runtime, path.read_bytes())
    x = inputs_of(path, network, real, drawn)
    elements = differing = 0
    for some in np.split(x, range(BATCH, len(x), BATCH)):
        expected = np.stack([model.run(sample, network) for sample in some])
        differing += int((forward(network, some) != expected).sum())
        elements += expected.size
    return len(x), elements, differing


if __name__ == "__main__":
    main()
