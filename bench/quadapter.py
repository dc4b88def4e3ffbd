"""Fewest weight bits for a region: python -m bench.quadapter [--samples 50] [--radii 1,2,3,4,5] [--timeout 20] [--widths 1:9]

The task of Quadapter (Zhang et al., FM 2024): for a sample and a radius, widths for the weights of each layer with which the quantized
network keeps the sample's class within the radius. Here `qbitsat bits --per-layer` answers it: the fewest weight bits of all, and for every
choice with no more of them a proof that it does not do, or the word open. The network is 784-100-100-10 with ReLU-7, trained by
bench.train_mnist; activations have 8 bits, scales are powers of two. Samples are MNIST's first test images that the float network gets
right; it was not trained on them.

Networks and finished tasks are kept in --cache, and what they come to in bench/results/quadapter.json: a task that is there is not run
again, so --samples may grow from run to run. All seconds are of CPU. Prints one table row a radius.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench import cpu_clock
from bench.paper.runs import Runs
from bench.paper.setting import Setting, trained
from bench.peers.__main__ import commit
from qbitsat.campaign.compare_file import machine
from qbitsat.network.float_network import FloatNetwork

RESULTS = Path(__file__).parent / "results" / "quadapter.json"
CACHE = Path.home() / ".cache" / "qbitsat" / "quadapter"
HIDDEN, FORMAT, CALIBRATION = "100,100", "power-of-two:8,input=u8.8", slice(500, 550)


def model_of(cache: Path, seed: int) -> FloatNetwork:
    path = cache / f"mnist-{HIDDEN.replace(',', '-')}-{seed}.keras"
    if not path.exists():
        trained("bench.train_mnist", "--out", str(path), "--hidden", HIDDEN, "--seed", str(seed))
    return qbitsat.load_float(path)


def task(model: FloatNetwork, x: np.ndarray, label: int, radius: int, calibration: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """What comes of one sample at one radius."""
    start = cpu_clock.seconds()
    options = {"widths": range(*args.widths), "format": FORMAT, "calibration": calibration, "timeout": args.timeout}
    found = qbitsat.mixed_bits(model, x[None], np.array([label]), radius, target=1.0, **options)
    bits = None if found.found is None else list(found.found.bits)
    seconds = round(cpu_clock.seconds() - start, 2)
    counts = {"choices": len(found.trials), "open": len(found.open), "mean": found.mean, "seconds": seconds}
    return {"verdict": "HOLDS" if bits else "UNKNOWN", "bits": bits, "timeout": args.timeout, **counts}


def summary(radius: int, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Of the tasks of a radius: how many are solved, and of those the mean bits of a weight, and how many are known to be minimal."""
    solved = [entry for entry in entries if entry["bits"]]
    mean = float(np.mean([entry["mean"] for entry in solved])) if solved else None
    by_layer = np.mean([entry["bits"] for entry in solved], axis=0).round(2).tolist() if solved else None
    return {
        "radius": radius,
        "tasks": len(entries),
        "solved": len(solved),
        "minimal": sum(entry["open"] == 0 for entry in solved),
        "mean_bits": mean,
        "bits_by_layer": by_layer,
        "seconds": float(np.mean([entry["seconds"] for entry in entries])),
        "choices": float(np.mean([entry["choices"] for entry in entries])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=50, metavar="N")
    parser.add_argument("--radii", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 3, 4, 5], metavar="LIST")
    parser.add_argument(
        "--widths", type=lambda text: [int(part) for part in text.split(":")], default=[1, 9], metavar="A:B", help="B is not in it"
    )
    parser.add_argument("--timeout", type=float, default=20.0, metavar="S", help="CPU seconds for each query")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="DIR")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args()
    cpu_clock.begin()
    model, (x, labels) = model_of(args.cache, args.seed), Setting(args.cache).images
    right = np.flatnonzero(model.run(x / 256)[0].argmax(axis=1) == labels)[: args.samples].tolist()
    content = {"commit": commit(), "machine": machine(), "timeout": args.timeout, "widths": args.widths, "radii": list[dict[str, Any]]()}
    print("| radius | solved | fewest is proved | mean bits | by layer | choices | mean s |\n|---|---|---|---|---|---|---|")
    with Runs(args.cache / "tasks.jsonl") as runs:
        for radius in args.radii:
            entries = []
            for sample in right:
                key = f"{args.seed} {args.widths} {sample} {radius}"
                entry = runs.get(key, args.timeout)
                entries.append(entry or runs.add(key, **task(model, x[sample], int(labels[sample]), radius, x[CALIBRATION] / 256, args)))
            row = summary(radius, entries)
            content["radii"].append(row)
            args.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            cells = (f"{row['solved']} of {row['tasks']}", str(row["minimal"]), f"{row['mean_bits'] or 0:.2f}", str(row["bits_by_layer"]))
            print(f"| {radius} | {' | '.join(cells)} | {row['choices']:.0f} | {row['seconds']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
