"""Multiply-adds a second of what all else is made of: python -m bench.speed [NAME ...]

Inference of ten samples, interval bounds of a box of +-1 step, and one gradient of a sample's outputs, of MLPerf Tiny's keyword, image and
person networks, one thread. Each is done three times, and the fastest counts; multiply-adds are those of the network as it is read,
without dead channels. Prints a table row a network, with the memory of its process. Writes bench/results/speed.json.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench.networks import files, inputs_of
from bench.peers.__main__ import commit
from qbitsat.attack.gradient import Backward
from qbitsat.bounds import propagate
from qbitsat.campaign.compare_file import machine
from qbitsat.limits import NO_LIMITS, cpu_seconds
from qbitsat.network import forward
from qbitsat.network.inference import forward_all

RESULTS = Path(__file__).parent / "results" / "speed.json"
NAMES = ("kws_ref_model", "pretrainedResnet_quant", "vww_96_int8")
SAMPLES, TIMES = 10, 3


def fastest(work: Callable[[], Any]) -> float:
    """CPU seconds."""
    seconds = []
    for _ in range(TIMES):
        start = cpu_seconds()
        work()
        seconds.append(cpu_seconds() - start)
    return max(min(seconds), 1e-6)


def measured(name: str) -> dict[str, Any]:
    network = qbitsat.load(files()[name])
    x = np.resize(inputs_of(name, network, SAMPLES), (SAMPLES, network.num_inputs))
    query = qbitsat.robustness(network, x[0], 1, int(forward(network, x[:1])[0].argmax()))
    values = forward_all(network, x)
    backward, wanted = Backward(network, NO_LIMITS), np.zeros(values.shape, np.float32)
    wanted[:, network.outputs] = 1
    work = sum(layer.affine.num_products for layer in network.layers)
    seconds = {
        "inference": fastest(lambda: forward(network, x)) / SAMPLES,
        "bounds": fastest(lambda: propagate(query)),
        "gradient": fastest(lambda: backward.gradient(values, wanted.copy())) / SAMPLES,
    }
    rates = {key: round(work / 1e6 / value) for key, value in seconds.items()}
    return {"multiply_adds": work, "millions_a_second": rates, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=NAMES, help=f"by default {', '.join(NAMES)}")
    args = parser.parse_args()
    records = {}
    print("| network | multiply-adds | inference, M/s | bounds, M/s | gradient, M/s | peak MiB |\n|---|---|---|---|---|---|")
    for name in args.names:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found = records[name] = pool.submit(measured, name).result()
        cells = (f"{found['multiply_adds']:,}", *found["millions_a_second"].values(), found["peak_mib"])
        print("|", " | ".join(map(str, (name, *cells))), "|", flush=True)
    RESULTS.write_text(json.dumps({"commit": commit(), "machine": machine(), "records": records}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
