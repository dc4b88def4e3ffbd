"""Robustness of networks that people ship:

    python -m bench.networks [NAMES] [--eps 1,2,4] [--samples 30] [--timeout 60] [--patch] [--cpu] [--table]

The .tflite files of the benchmark data, each with its first samples: MNIST images, the real inputs that belong to it, or random ones. A
sample's class is the network's own. --patch lets one patch of every sample move instead of all: 3 x 3 pixels in the middle, or the middle
frame. --cpu counts seconds of CPU, in limits too, for machines that others use. Every (file, eps) is a process of its own; its peak
memory is in its record. Keeps bench/results/networks.json; --table prints what is there, and runs nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench import cpu_clock
from bench.peers.__main__ import commit
from bench.suite import DATA
from qbitsat.campaign.compare_file import machine
from qbitsat.importers import load_inputs
from qbitsat.network import Network, classify
from qbitsat.verify import HOLDS, VIOLATED

RESULTS = Path(__file__).parent / "results" / "networks.json"
KIB_IN_MIB = 1024
# Where the inputs of a file are; files that are not here are given MNIST images if they read 28 x 28 pixels, else random integers.
INPUTS = {
    "ad01_int8": "ad",
    "kws_ref_model": "kws",
    "pretrainedResnet_quant": "resnet",
    "str_ww_ref_model": "streaming_wakeword",
    "vww_96_int8": "vww",
}
HEAD = "| file, eps | decided | violated | limit s | median s | longest s | peak MiB | commit |\n|---|---|---|---|---|---|---|---|"
# Of these nothing is asked about classes: one output, or an autoencoder.
CLASSLESS = ("hello_world_int8", "ad01_int8")


def files() -> dict[str, Path]:
    return {path.stem: path for path in sorted((DATA / "tflite").glob("*.tflite")) if path.stem not in CLASSLESS}


def inputs_of(name: str, network: Network, count: int) -> np.ndarray:
    """int64[at most count, size]."""
    form = network.input
    if name in INPUTS:
        return np.load(DATA / "inputs" / f"{INPUTS[name]}.npz")["inputs"].reshape(-1, form.size)[:count].astype(np.int64)
    if form.shape[:2] == (28, 28):
        pixels = load_inputs(DATA / "mnist" / "t10k-images-idx3-ubyte.gz", qbitsat.network.TensorFormat((28, 28), 0, 255))
        return pixels[:count] + form.zero_point
    return np.random.default_rng(0).integers(form.lo, form.hi + 1, (count, form.size))


def patch_of(network: Network) -> str:
    """3 x 3 pixels in the middle of an image, or the middle frame of anything else."""
    shape = network.input.shape
    if len(shape) == 3 and min(shape[:2]) >= 28:
        y, x = shape[0] // 2, shape[1] // 2
        return f"[{y - 1}:{y + 2}, {x - 1}:{x + 2}]"
    if len(shape) > 1:
        return f"[{shape[0] // 2}]"
    frame = 40 if shape[0] % 40 == 0 else 1  # spectrograms of 40 bands, flattened
    start = shape[0] // frame // 2 * frame
    return f"{start}:{start + frame}"


def run(job: tuple[str, int, bool, int, float, bool]) -> tuple[str, dict[str, Any]]:
    """Name and record of a file at one eps."""
    name, eps, patch, count, timeout, cpu = job
    if cpu:
        cpu_clock.begin()
    network = qbitsat.load(files()[name])
    x = inputs_of(name, network, count)
    region, runs = patch_of(network) if patch else None, []
    for sample, (row, label) in enumerate(zip(x, classify(network, x).tolist(), strict=True)):
        verdict = qbitsat.verify(qbitsat.robustness(network, row, eps, label, region=region), timeout=timeout)
        runs.append(
            {
                "sample": sample,
                "verdict": verdict.verdict,
                "reason": verdict.reason,
                "engine": verdict.engine,
                "seconds": round(verdict.seconds, 4),
            }
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_IN_MIB
    about = {
        "commit": commit(),
        "machine": machine(),
        "timeout": timeout,
        "clock": "cpu" if cpu else "wall",
        "region": region,
        "peak_mib": round(peak),
    }
    return f"{name}-eps{eps}{'-patch' if patch else ''}", {**about, "runs": runs}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table; what is open counts with the limit in the median."""
    runs = record["runs"]
    decided = [run["seconds"] for run in runs if run["verdict"] in (HOLDS, VIOLATED)]
    median = statistics.median(decided + [record["timeout"]] * (len(runs) - len(decided)))
    violated = sum(run["verdict"] == VIOLATED for run in runs)
    times = f"{record['timeout']:g}", f"{median:.2g}", f"{max(decided, default=0):.2g}"
    cells = (f"{len(decided)} of {len(runs)}", str(violated), *times, str(record["peak_mib"]), record["commit"])
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default, of {', '.join(files())}")
    parser.add_argument("--eps", default="1,2,4", metavar="LIST")
    parser.add_argument("--samples", type=int, default=30, metavar="N")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--patch", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if unknown := set(args.names) - set(files()):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(files())}")
    jobs = [
        (name, int(eps), args.patch, args.samples, args.timeout, args.cpu) for name in args.names or files() for eps in args.eps.split(",")
    ]
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    print(HEAD)
    if args.table:
        print(*(row(name, record) for name, record in content.items()), sep="\n")
        return
    with multiprocessing.get_context("spawn").Pool(args.jobs, maxtasksperchild=1) as pool:
        for name, record in pool.imap_unordered(run, jobs):
            content[name] = record
            RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
            print(row(name, record), flush=True)


if __name__ == "__main__":
    main()
