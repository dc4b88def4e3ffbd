"""Every quantized file of the benchmarks in every runtime: how many of its outputs differ from what is computed here.

    python -m bench.exactness [--real N] [--random N] [--files NAME ...] [--runtimes NAME ...]

.tflite files in TensorFlow Lite Micro and in LiteRT with three resolvers, the keyword networks of ONNX in ONNX Runtime, whose integers
depend on whether the processor has VNNI, and Deeploy's with the outputs that come with them. Prints a table and writes
bench/results/exactness.json; ends with 1 if anything differs. Needs the extra `test`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tests.folders  # noqa: F401 (where modules of the tests are)

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "importers"))

import onnx
from onnx_files import VNNI, feeds, session
from oracles import TFLITE
from test_onnx_networks import KEYWORDS, without_softmax
from tflite_networks import RuntimeModel, inputs_of, runs

from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load
from qbitsat.limits import cpu_seconds
from qbitsat.network import Network, forward

RESULTS = Path(__file__).parent / "results" / "exactness.json"
BATCH = 10
# One sample, int64[size], to its outputs.
Run = Callable[[np.ndarray], np.ndarray]


def tflite_runs(path: Path, runtime: str, args: argparse.Namespace) -> tuple[Network, Run, np.ndarray]:
    """The network, what runs it, and inputs int64[n, size]."""
    network, model = load(path, runtime=runtime), RuntimeModel(runtime, path.read_bytes())
    return network, lambda x: model.run(x, network), inputs_of(path, network, args.real, args.random)


def onnx_runs(path: Path, args: argparse.Namespace) -> tuple[Network, Run, np.ndarray]:
    """The same of a keyword network, cut off before its softmax; QDQ in the precise mode, which is the same with VNNI."""
    network = load(path)
    runner = session(without_softmax(onnx.load(path), KEYWORDS[path.stem]), precise=path.stem.endswith("qdq"))
    dtype, form = runner.get_outputs()[0].type, network.output

    def run(x: np.ndarray) -> np.ndarray:
        y = runner.run(None, feeds(network, runner, x))[0].ravel()
        return np.rint(y / np.float32(form.scale)).astype(np.int64) + form.zero_point if dtype == "tensor(float)" else y.astype(np.int64)

    x = np.random.default_rng(1).integers(network.input.lo, network.input.hi + 1, (args.random, network.input.size))
    return network, run, x


def deeploy_runs(path: Path) -> tuple[Network, Run, np.ndarray]:
    """The one sample that comes with a file, and its outputs."""
    x, y = (next(iter(np.load(str(path).replace("network.onnx", f"{end}.npz")).values())) for end in ("inputs", "outputs"))
    return load(path), lambda _: y.ravel().astype(np.int64), x.reshape(1, -1).astype(np.int64)


def compared(network: Network, run: Run, x: np.ndarray) -> dict[str, int]:
    """Inputs, elements of their outputs, and how many of these differ."""
    elements = differing = 0
    for some in np.split(x, range(BATCH, len(x), BATCH)):
        expected = np.stack([run(sample) for sample in some])
        differing += int((forward(network, some) != expected).sum())
        elements += expected.size
    return {"inputs": len(x), "elements": elements, "differing": differing}


def cases(args: argparse.Namespace) -> Iterator[tuple[str, str, Callable[[], tuple[Network, Run, np.ndarray]] | None]]:
    """(file, runtime, what gives its runs, or None where the runtime refuses the file)."""
    for path in sorted((DATA / "tflite").glob("*.tflite")):
        for runtime in TFLITE:
            able = runs(runtime, path)
            yield path.name, runtime, (lambda path=path, runtime=runtime: tflite_runs(path, runtime, args)) if able else None
    for path in (DATA / "onnx" / f"{name}.onnx" for name in KEYWORDS):
        yield path.name, "onnxruntime", lambda path=path: onnx_runs(path, args)
    for path in sorted((DATA / "onnx").glob("deeploy_*_network.onnx")):
        yield path.name, "its own outputs", lambda path=path: deeploy_runs(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=int, default=100, help="at most so many of the inputs that come with a file")
    parser.add_argument("--random", type=int, default=100, help="so many random ones")
    parser.add_argument("--files", nargs="+", metavar="NAME", help="parts of names; all by default")
    parser.add_argument("--runtimes", nargs="+", metavar="NAME")
    args = parser.parse_args()
    print("| file | runtime | inputs | elements | differing | CPU s |\n|---|---|---|---|---|---|")
    records: list[dict[str, Any]] = []
    for name, runtime, make in cases(args):
        if (args.files and not any(part in name for part in args.files)) or (args.runtimes and runtime not in args.runtimes):
            continue
        start = cpu_seconds()
        found = compared(*make()) if make else None
        seconds = round(cpu_seconds() - start, 1)
        records.append({"file": name, "runtime": runtime, **(found or {"refused": True}), "cpu_seconds": seconds})
        cells = [found["inputs"], found["elements"], found["differing"]] if found else ["refused by it", "", ""]
        print("|", " | ".join(map(str, (name, runtime, *cells, seconds))), "|", flush=True)
    if not (args.files or args.runtimes):
        about = {"commit": commit(), "machine": machine(), "vnni": VNNI}
        RESULTS.write_text(json.dumps({**about, "records": records}, indent=1) + "\n", encoding="utf-8")
    sys.exit(1 if any(record.get("differing") for record in records) else 0)


if __name__ == "__main__":
    main()
