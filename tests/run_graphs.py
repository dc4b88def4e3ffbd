"""Hold random Keras graphs, converted to int8, against every runtime of TensorFlow Lite: python tests/run_graphs.py --count 1000

For each graph what each runtime gives on random inputs, among them the ends of their range. Files that are refused, that a runtime does not
run, and that the converter does not make are counted. What differs is printed, with its seed, and its file is kept. Needs the extras `test`
and `train`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

import folders  # noqa: F401 (where modules of the tests are)
import numpy as np

from qbitsat.errors import QbitsatError
from qbitsat.importers import load
from qbitsat.network import forward

# So many of the inputs are ends of the range alone.
ENDS = 5


def differing(data: bytes, runtime: str, path: Path, rng: np.random.Generator, count: int) -> tuple[str, int]:
    """What became of a file in a runtime, and how many outputs differ."""
    from tflite_networks import RuntimeModel

    path.write_bytes(data)
    try:
        network = load(path, runtime=runtime)
    except QbitsatError:
        return "refused", 0
    try:
        model = RuntimeModel(runtime, data)
    except (RuntimeError, ValueError):
        return "not run", 0
    form = network.input
    x = rng.integers(form.lo, form.hi + 1, (count, form.size))
    x[:ENDS] = np.where(rng.random((ENDS, form.size)) < 0.5, form.lo, form.hi)
    expected = np.stack([model.run(sample, network) for sample in x])
    if model.unsigned_output:
        expected -= 128
    wrong = int((forward(network, x) != expected).sum())
    return "differs" if wrong else "same", wrong


def look(seed: int, count: int, folder: Path) -> tuple[list[str], dict[str, tuple[str, int]]]:
    """The steps of a graph, and what became of it in each runtime; nothing where Keras or the converter does not make it."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    from keras_graphs import converted, graph
    from oracles import TFLITE

    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    try:
        model, names = graph(rng)
        with redirect_stdout(StringIO()):  # where converters say what they read
            data, how = converted(model, rng)
    except Exception:  # whatever Keras and converters raise
        return [], {}
    finally:
        keras.backend.clear_session()
    found = {runtime: differing(data, runtime, folder / f"{seed}.tflite", rng, count) for runtime in TFLITE}
    if all(kind != "differs" for kind, _ in found.values()):
        (folder / f"{seed}.tflite").unlink()
    return names + how, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, metavar="N", help="graphs")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="of the first one")
    parser.add_argument("--inputs", type=int, default=24, metavar="N", help="for each graph and runtime")
    args = parser.parse_args()
    folder, total, faults = Path(tempfile.mkdtemp()), Counter[str](), 0
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    for seed in range(args.first, args.first + args.count):
        try:
            names, found = pool.submit(look, seed, args.inputs, folder).result()
        except BrokenProcessPool:  # converters and runtimes abort at some graphs
            pool = ProcessPoolExecutor(1, get_context("spawn"))
            total["aborts"] += 1
            continue
        total.update(f"{runtime} {kind}" for runtime, (kind, _) in found.items())
        total["not converted"] += not found
        wrong = {runtime: n for runtime, (_, n) in found.items() if n}
        if wrong:
            faults += 1
            print(f"seed {seed}: {wrong} of {', '.join(names)}: {folder / f'{seed}.tflite'}", flush=True)
    print(*(f"{count:6} {what}" for what, count in sorted(total.items())), sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
