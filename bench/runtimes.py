"""Do two runtimes of a .tflite file agree around samples? python -m bench.runtimes [NAME ...] [--eps 0,1,2,4] [--timeout 10]

Whether TFLM and XNNPACK give all inputs within eps steps of a sample the same class, or with --within outputs at most so many steps
apart. The limit is in seconds of CPU for each query. Prints, for each file and eps, how many samples are proved to agree, how many have
an input that tells the runtimes apart, and how many are open. With --replay each of these inputs is run in both runtimes (the extra
`test` has them), and must give what was said. Adds the records to bench/results/runtimes.json.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
import tests.folders  # noqa: F401 (where modules of the tests are)
from bench import cpu_clock
from bench.networks import files, inputs_of
from bench.peers.__main__ import commit
from qbitsat.campaign.compare_file import machine
from qbitsat.network import Network, forward
from qbitsat.properties import agreement
from qbitsat.verify import HOLDS, UNKNOWN, VIOLATED

RESULTS = Path(__file__).parent / "results" / "runtimes.json"
NAMES = ("ptq_mnist_lenet-300-100", "mnist_arduino_q", "mnist_valid_q", "mnist_dw_q", "mnist_resnet_q")
RUNTIMES = ("tflm", "xnnpack")


class Replay:
    """Runs witnesses in the runtimes themselves."""

    def __init__(self, path: Path):
        from tflite_networks import RuntimeModel  # which needs the runtimes

        self.models = [RuntimeModel(runtime, path.read_bytes()) for runtime in RUNTIMES]

    def outputs(self, networks: list[Network], x: np.ndarray) -> list[np.ndarray]:
        """int64[outputs] of each runtime, which must be those of its network."""
        found = [model.run(x, network) for model, network in zip(self.models, networks, strict=True)]
        assert all((y == forward(network, x[None])[0]).all() for y, network in zip(found, networks, strict=True))
        return found


def ask(name: str, eps: int, args: argparse.Namespace) -> dict[str, Any]:
    """The record of a file at one eps."""
    networks = [qbitsat.load(files()[name], runtime=runtime) for runtime in RUNTIMES]
    replay = Replay(files()[name]) if args.replay else None
    runs = []
    for sample, x in enumerate(inputs_of(name, networks[0], args.samples)):
        verdict = qbitsat.verify(agreement(*networks, x, eps, args.within), timeout=args.timeout)
        if replay and verdict.witness is not None:
            replay.outputs(networks, np.array(verdict.witness.inputs[0]))
        about = {"sample": sample, "verdict": verdict.verdict, "engine": verdict.engine}
        runs.append({**about, "reason": verdict.reason, "seconds": round(verdict.cpu_seconds, 3)})
        if args.verbose:
            print(runs[-1], flush=True)
    return {"commit": commit(), "machine": machine(), "timeout": args.timeout, "replayed": args.replay, "runs": runs}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    counts = Counter(run["verdict"] for run in record["runs"])
    seconds = sorted(run["seconds"] for run in record["runs"])
    cells = (counts[HOLDS], counts[VIOLATED], counts[UNKNOWN], f"{seconds[len(seconds) // 2]:.2g}", f"{seconds[-1]:.2g}")
    return f"| {name} | {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME", help=f"by default {', '.join(NAMES)}")
    parser.add_argument("--eps", default="0,1,2,4", metavar="LIST")
    parser.add_argument("--within", type=int, metavar="STEPS")
    parser.add_argument("--samples", type=int, default=30, metavar="N")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S")
    parser.add_argument("--replay", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    cpu_clock.begin()
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    print("| file, eps | proved | differing | open | median s | longest s |\n|---|---|---|---|---|---|")
    for name in args.names:
        for eps in map(int, args.eps.split(",")):
            key = f"{name}-eps{eps}" + ("" if args.within is None else f"-within{args.within}")
            content[key] = ask(name, eps, args)
            RESULTS.write_text(json.dumps(content) + "\n", encoding="utf-8")
            print(row(key, content[key]), flush=True)


if __name__ == "__main__":
    main()
