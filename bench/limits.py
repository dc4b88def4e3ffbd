"""How well limits are kept: python -m bench.limits [NAMES] [--out FILE]

Every case runs in a process of its own: a network and a query are built, then `verify` gets a timeout, or a memory limit so much above
what is resident by then. Printed are the seconds beyond the timeout, wall and CPU (of the process and its children), and the peak of
resident memory of any one process beyond the limit, in MiB and as a share of it. Names choose cases by their beginnings.
Keeps bench/results/limits.json, where cases that are not run again stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds.intervals import propagate_boxes
from qbitsat.campaign.compare_file import machine
from qbitsat.limits import GIB, resident_bytes
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.options import ENCODINGS
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, robustness

RESULTS = Path(__file__).parent / "results" / "limits.json"
MIB = 1 << 20
# GiB: the least memory limit, which every process holds already.
LEAST = 0.05
# A case that takes this many seconds more than its limit is ended.
PATIENCE = 120.0


def random_network(sizes: tuple[int, ...], seed: int = 0, **requantizer: int) -> Network:
    """Weights of 4 bits, activations of 8: outputs spread over their range, so that bounds decide little."""
    rng = np.random.default_rng(seed)
    form, layers = TensorFormat((sizes[0],), 0, 255), []
    for k, size in enumerate(sizes[1:]):
        shift = max(0, round(np.log2(4.6 * np.sqrt(form.size) * 100 / 64)))
        weights = rng.integers(-8, 8, (size, form.size))
        bias = (128 << shift) - (weights.sum(axis=1) * 128)
        layers.append(Dense(f"dense{k}", form, TensorFormat((size,), 0, 255), (ShiftRequantizer(shift, "half_up", 0, 255),), weights, bias))
        form = layers[-1].output
    return Network(tuple(layers), "random")


def wide(size: int, eps: int = 2) -> Query:
    """Robustness of a random 784-size-size-10 network at its own class."""
    network = random_network((784, size, size, 10))
    x = np.random.default_rng(1).integers(0, 256, 784)
    return robustness(network, x, eps, int(qbitsat.network.classify(network, x[None])[0]))


def channels(count: int, levels: int = 4096) -> Query:
    """A hidden layer with a requantizer of its own for each output, of so many levels."""
    rng = np.random.default_rng(0)
    pixels, hidden = TensorFormat((64,), 0, 255), TensorFormat((count,), 0, levels - 1)
    requantizers = tuple(ShiftRequantizer(3, "half_up", 0, levels - 1, offset=int(o)) for o in rng.integers(1000, 3000, count))
    first = Dense("first", pixels, hidden, requantizers, rng.integers(-8, 8, (count, 64)), np.zeros(count, np.int64))
    last = Dense(
        "last",
        hidden,
        TensorFormat((10,), -128, 127),
        (ShiftRequantizer(14, "half_up", -128, 127),),
        rng.integers(-8, 8, (10, count)),
        np.zeros(10, np.int64),
    )
    network, x = Network((first, last)), rng.integers(0, 256, 64)
    return robustness(network, x, 8, int(qbitsat.network.classify(network, x[None])[0]))


def formula_of(kind: type, count: int, seed: int = 0, size: int = 32) -> Query:
    """Random inequalities over the ten outputs of a small network, which bounds leave open."""
    rng = np.random.default_rng(seed)
    network = random_network((64, size, 10))
    x = rng.integers(40, 200, 64)
    box = Box(np.maximum(x - 12, 0), np.minimum(x + 12, 255))
    y, ends = qbitsat.network.forward(network, x[None])[0], propagate_boxes((network,), (box,)).layer(0, -1)
    atoms = []
    for factors in rng.integers(-3, 4, (count, 10)):
        terms = tuple((int(f), Ref(0, "output", j)) for j, f in enumerate(factors) if f)
        least = np.minimum(factors * ends.lo, factors * ends.hi).sum()
        # One that holds of many is easy to find, so each is near what bounds refute; many that hold at once are not.
        share = 0.95 if kind is And else 0.1
        atoms.append(AtMost(terms, int(least + share * ((factors * y).sum() - least))))
    return Query((network,), (box,), kind(tuple(atoms)))


def clauses(count: int) -> Query:
    """Many disjunctions of two inequalities, each over an output and an input, which bounds leave open."""
    rng = np.random.default_rng(0)
    network = random_network((20, 8))
    draws = zip(
        rng.integers(0, 8, (count, 2)).tolist(),
        rng.integers(0, 20, (count, 2)).tolist(),
        rng.integers(20, 90, (count, 2)).tolist(),
        strict=True,
    )
    parts = [
        Or(tuple(AtMost(((1, Ref(0, "output", j)), (2, Ref(0, "input", i))), b) for j, i, b in zip(*draw, strict=True))) for draw in draws
    ]
    return Query((network,), (Box(np.zeros(20, np.int64), np.full(20, 255)),), And(tuple(parts)))


def twins(size: int) -> Query:
    """Two networks that read inputs near each other's, and a class that differs."""
    one, two = random_network((784, size, size, 10)), random_network((784, size, size, 10), 5)
    x = np.random.default_rng(1).integers(2, 254, 784)
    near = [AtMost(((s, Ref(0, "input", i)), (-s, Ref(1, "input", i))), 1) for i in range(784) for s in (1, -1)]
    tops = [AtMost(((1, Ref(k, "output", j)), (-1, Ref(k, "output", 3 + k))), 0) for k in (0, 1) for j in range(10) if j != 3 + k]
    return Query((one, two), (Box(x - 2, x + 2), Box(x - 2, x + 2)), And((*near, *tops)))


def terms(count: int) -> Query:
    """One inequality that names two outputs again and again."""
    network = random_network((3, 2, 2))
    named = tuple((1 - 2 * (j % 2), Ref(0, "output", j % 2)) for j in range(count))
    return Query((network,), (Box(np.zeros(3, np.int64), np.full(3, 255)),), AtMost(named, -255 * count))


def chain(size: int) -> Query:
    """Inputs that are all equal, each tied to the one before it, the last pair first."""
    network = random_network((size, 2))
    ties = [AtMost(((s, Ref(0, "input", i)), (-s, Ref(0, "input", i - 1))), 0) for i in range(size - 1, 0, -1) for s in (1, -1)]
    ranked = AtMost(((1, Ref(0, "output", 0)), (-1, Ref(0, "output", 1))), -200)
    return Query((network,), (Box(np.zeros(size, np.int64), np.full(size, 255)),), And((*ties, ranked)))


def small() -> Query:
    """An open query of a small network, for options that ask for much work at every node."""
    network = random_network((64, 16, 10))
    x = np.random.default_rng(3).integers(60, 180, 64)
    return robustness(network, x, 30, int(qbitsat.network.classify(network, x[None])[0]))


Case = tuple[Callable[[], Query], dict[str, Any], float | None, float | None]


def cases() -> dict[str, Case]:
    """(query, options, timeout in seconds, memory in GiB above what is resident) by name."""
    found: dict[str, Case] = {}
    for engine in ("auto", "sat", "enumerate"):
        found[f"terms-400000-{engine}-time-1"] = lambda: terms(400_000), {"engine": engine, "bounds": False}, 1.0, None
        found[f"chain-6000-{engine}-time-1"] = lambda: chain(6000), {"engine": engine, "attack": False}, 1.0, None
    for size in (1000, 2000, 4000):
        for timeout in (1.0, 5.0):
            found[f"wide-{size}-time-{timeout:g}"] = lambda n=size: wide(n), {"attack": False}, timeout, None
        found[f"wide-{size}-attack-time-1"] = lambda n=size: wide(n), {}, 1.0, None
        for memory in (0.05, 0.25, 1.0):
            found[f"wide-{size}-memory-{memory:g}"] = lambda n=size: wide(n), {"timeout": 20.0}, None, memory
        found[f"wide-{size}-certificates-time-1"] = lambda n=size: wide(n), {"attack": False, "certificates": True}, 1.0, None
        for encoding in ENCODINGS:
            options = {"engine": "sat", "encoding": encoding, "attack": False}
            found[f"wide-{size}-sat-{encoding}-time-2"] = lambda n=size: wide(n), options, 2.0, None
            found[f"wide-{size}-sat-{encoding}-memory-0.25"] = lambda n=size: wide(n), {**options, "timeout": 20.0}, None, 0.25
    for count in (1000, 3000):
        found[f"channels-{count}-time-1"] = lambda n=count: channels(n), {"attack": False}, 1.0, None
        found[f"channels-{count}-memory-0.1"] = lambda n=count: channels(n), {"attack": False, "timeout": 20.0}, None, 0.1
    for kind in (And, Or):
        for count in (20_000, 131_072):
            for engine in ("hybrid", "sat"):
                name = f"{kind.__name__}-{count}-{engine}"
                found[f"{name}-time-1"] = lambda k=kind, n=count: formula_of(k, n), {"engine": engine}, 1.0, None
                found[f"{name}-memory-0.1"] = lambda k=kind, n=count: formula_of(k, n), {"engine": engine, "timeout": 20.0}, None, 0.1
    found["Or-20000-large-memory-0.1"] = lambda: formula_of(Or, 20_000, size=1000), {"timeout": 20.0}, None, 0.1
    for engine in ("auto", "hybrid", "sat", "enumerate"):
        for attack in (True, False):
            name = f"clauses-131072-{engine}{'-attack' if attack else ''}-time-1"
            found[name] = lambda: clauses(131_072), {"engine": engine, "attack": attack}, 1.0, None
    for option in ("steps", "polish", "tighten"):
        found[f"{option}-1000000-time-1"] = small, {option: 10**6, "attack": False}, 1.0, None
        found[f"wide-1000-{option}-1000000-time-1"] = lambda: wide(1000), {option: 10**6, "attack": False}, 1.0, None
    found["restarts-1000000-time-1"] = small, {"restarts": 10**6}, 1.0, None
    found["batch-10000-time-1"] = small, {"batch": 10**4, "attack": False, "rounding": False}, 1.0, None
    found["batch-10000-memory-0.1"] = lambda: wide(500), {"batch": 10**4, "attack": False, "timeout": 20.0}, None, 0.1
    for size in (1000, 2000):
        found[f"twins-{size}-time-1"] = lambda n=size: twins(n), {}, 1.0, None
        found[f"twins-{size}-memory-0.25"] = lambda n=size: twins(n), {"timeout": 20.0}, None, 0.25
    found["shared-1000-time-2"] = lambda: wide(1000), {"jobs": 2, "attack": False}, 2.0, None
    found["held-already"] = lambda: wide(1000), {"timeout": 20.0}, None, -1.0
    return found


def peak_bytes() -> int:
    """The largest resident memory of this process since it was last reset, and of its children."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    own = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert own
    return 1024 * max(int(own[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def cpu_seconds() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def run(name: str, **changed: Any) -> dict[str, Any]:
    """The record of one case, in this process; some options may be others."""
    build, options, timeout, above = cases()[name]
    options = {**options, **changed}
    query = build()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak
    held = resident_bytes()
    limits: dict[str, float] = {}
    if timeout is not None:
        limits["timeout"] = timeout
    if above is not None:
        limits["memory"] = max(LEAST, held / GIB + above)
    began, cpu = time.monotonic(), cpu_seconds()
    verdict = qbitsat.verify(query, **{**options, **limits})
    seconds, cpu, peak = time.monotonic() - began, cpu_seconds() - cpu, peak_bytes()
    record = {"verdict": verdict.verdict, "reason": verdict.reason, "seconds": seconds, "cpu": cpu, "held": held, "peak": peak}
    return {**record, "timeout": timeout, "memory": None if above is None else limits["memory"] * GIB}


def row(name: str, record: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    if "seconds" not in record:
        return f"| {name} | {record['reason']} | | | |"
    seconds, timeout, memory = record["seconds"], record["timeout"], record["memory"]
    late = [""] * 2 if timeout is None else [f"{record[part] - timeout:+.2f}" for part in ("seconds", "cpu")]
    above = f"{(record['peak'] - record['held']) / MIB:.0f}"
    beyond = "" if memory is None else f"{(record['peak'] - memory) / MIB:+.0f} MiB, {record['peak'] / memory - 1:+.1%}"
    said = f"{record['verdict']} {record['reason']}".strip()
    return f"| {name} | {said} | {seconds:.2f} | {late[0]} | {late[1]} | {above} | {beyond} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--one", metavar="NAME", help="run one case here and print its record")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run(args.one)))
        return
    content = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    content["machine"] = machine()
    print("| case | verdict | s | s over | CPU s over | peak MiB above held | memory over |\n|---|---|---|---|---|---|---|")
    for name, (_, options, timeout, _) in cases().items():
        if args.names and not name.startswith(tuple(args.names)):
            continue
        command, limit = [sys.executable, "-m", "bench.limits", "--one", name], (timeout or options.get("timeout", 0)) + PATIENCE
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
            content[name] = json.loads(done.stdout) if done.returncode == 0 else {"reason": (done.stderr or str(done.returncode))[-200:]}
        except subprocess.TimeoutExpired:
            content[name] = {"reason": f"ended after {limit:g} s"}
        args.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(row(name, content[name]), flush=True)


if __name__ == "__main__":
    main()
