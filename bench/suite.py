"""The queries of bench/encodings.py: which ones, and by what rule.

Digits: networks of shapes 64-16-10, 64-32-10 and 64-16-16-10 at 4 to 8 bits, trained by bench/train_digits.py with its
defaults. A cell is one of them at eps 1 or 2. Its candidates are the held-back images that the network gets right and that
interval bounds and the attack leave open. They are walked in this order: first those that a longer attack violates, because
few queries are violated where an attack fails; then those with fewer open classes; then by sample. Each candidate is
screened by one backend, `sat`, `boolector` or `bitwuzla` by turns, all with the plain balanced encoding, and is in the suite if
that backend decides it within SCREEN_SECONDS: no backend chooses more than another, and what no solver can do is left out.

Few queries are violated, missed by the attack and within any solver's reach; most of them are 64-16-10 at 4 bits and eps 1. So that
cell is taken with the seeds of MORE_SEEDS too.

Patches: queries of the 784-64-32 and 784-64-32-10 networks. With all 784 pixels free no backend decides what bounds and
attack leave open, so only the central SIDE x SIDE pixels may change, each by at most eps. The plain balanced encoding and the SMT
solvers decide next to none of these in seconds; so here `sat` as it is by default screens, within PATCH_SCREEN_SECONDS.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import qbitsat
from bench.digits import split
from qbitsat.attack import propose
from qbitsat.bounds import propagate, simplify
from qbitsat.campaign import Task, Verifier
from qbitsat.campaign.compare import Backend, compare
from qbitsat.importers import load_inputs, load_labels
from qbitsat.limits import Limits
from qbitsat.network import Network, classify
from qbitsat.options import make_options
from qbitsat.properties import Box, Or, Query
from qbitsat.properties.formula import FALSE, TRUE
from qbitsat.verify import HOLDS, VIOLATED

DATA = Path(os.environ.get("QBITSAT_BENCH_DATA", Path(__file__).resolve().parents[2] / "shared" / "benchmarks"))

SHAPES = ("16", "32", "16,16")
BITS = (4, 5, 6, 7, 8)
EPSILONS = (1, 2)
MORE_SEEDS = range(1, 13)
# For each verdict: cases wanted in a cell, and candidates in vain, one after the other, at which the walk ends.
WANTED = {HOLDS: 5, VIOLATED: 6}
GIVE_UP = {HOLDS: 4, VIOLATED: 10}
SCREEN_SECONDS, PATCH_SCREEN_SECONDS = 2.5, 1.0
LONG_RESTARTS = 100
SCREENS = (Backend("sat", "balanced", "glucose42"), Backend("boolector", "balanced"), Backend("bitwuzla", "balanced"))

PATCHED = ("aaai21/mnist_mlp.h5", "qvip/qu_mnist_2blk_64_32_in_8_qu_6.h5", "qvip/qu_mnist_2blk_64_32_in_8_qu_8.h5")
SIDE, WIDTH = 8, 28
PATCH_EPSILONS = (3, 5, 7)
NUM_PATCHES = 20
PATCHES = "patches"
PATCH_SAMPLES = 100


@dataclass(frozen=True)
class Case:
    """One query of the suite. `network` is a shape and bits like 16,16-4, or a file of PATCHED."""

    network: str
    sha256: str
    sample: int
    eps: int
    verdict: str
    decided_by: str
    seconds: float


class PatchVerifier(Verifier):
    """Only the central pixels may change."""

    def query(self, task: Task) -> Query:
        whole = super().query(task)
        (box,) = whole.boxes
        lo, hi = (np.array(task.x) for _ in range(2))
        lo[patch()], hi[patch()] = box.lo[patch()], box.hi[patch()]
        return replace(whole, boxes=(Box(lo, hi),))


@cache
def patch() -> np.ndarray:
    """Numbers of the central pixels."""
    start = (WIDTH - SIDE) // 2
    inside = range(start, start + SIDE)
    return np.array([WIDTH * row + column for row in inside for column in inside])


@cache
def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images int64[n, size] and labels int64[n] that a network's samples are taken from."""
    if name not in PATCHED:
        _, _, x, y = split()
        return x.astype(np.int64), y
    form = load_network(name, DATA).input
    folder = DATA / "mnist"
    return load_inputs(folder / "t10k-images-idx3-ubyte.gz", form), load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def load_network(name: str, work: Path) -> Network:
    """A network of the suite; the trained ones are in `work`."""
    if name in PATCHED:
        return qbitsat.load(DATA / name, **({} if "_qu_" in name else {"bits": 6}))
    return qbitsat.load(work / name / "digits.npz")


def verifier_of(name: str, network: Network, options: dict[str, Any]) -> Verifier:
    return (PatchVerifier if name in PATCHED else Verifier)(network, options)


def task_of(name: str, sample: int, eps: int, index: int = 0) -> Task:
    x, y = images(name)
    return Task(index, sample, eps, x[sample], int(y[sample]))


def candidates(name: str, network: Network, eps: int, samples: int, restarts: int = LONG_RESTARTS) -> list[tuple[Task, bool]]:
    """Tasks that bounds and attack leave open, and whether a longer attack succeeds; in the order of the walk."""
    verifier, found = verifier_of(name, network, {}), []
    x, y = images(name)
    right = classify(network, x[:samples]) == y[:samples]
    for sample in np.flatnonzero(right).tolist():
        task = task_of(name, sample, eps)
        query = verifier.query(task)
        formula = simplify(query, propagate(query))
        if formula in (FALSE, TRUE) or propose(query, formula, make_options(), Limits()) is not None:
            continue
        longer = propose(query, formula, make_options(restarts=restarts, seed=1), Limits())
        found.append((longer is None, len(formula.parts) if isinstance(formula, Or) else 1, task.sample, task))
    return [(task, not missed) for missed, _, _, task in sorted(found)]


def screened(name: str, network: Network, task: Task, backend: Backend, seconds: float) -> Case | None:
    """The task as a case of the suite, if the backend decides it in time."""
    verifier = verifier_of(name, network, {"timeout": seconds, "memory": None, "bounds": True})
    (run,) = compare(verifier, [task], [backend])
    if run.verdict not in (HOLDS, VIOLATED):
        return None
    return Case(name, network.sha256, task.sample, task.eps, run.verdict, str(backend), round(run.seconds, 3))


def cell(name: str, network: Network, eps: int) -> Iterator[Case]:
    """The cases of one digits network at one eps."""
    wanted, vain = dict(WANTED), dict.fromkeys(WANTED, 0)
    for turn, (task, longer) in enumerate(candidates(name, network, eps, len(images(name)[0]))):
        likely = VIOLATED if longer else HOLDS
        if not wanted[likely] or vain[likely] == GIVE_UP[likely]:
            continue
        case = screened(name, network, task, SCREENS[turn % len(SCREENS)], SCREEN_SECONDS)
        vain[likely] = 0 if case else vain[likely] + 1
        if case and wanted[case.verdict]:
            wanted[case.verdict] -= 1
            yield case


def patch_cases(networks: dict[str, Network]) -> Iterator[Case]:
    """The cases of the patched networks, the smallest eps first."""
    left = NUM_PATCHES
    for eps, name in itertools.product(PATCH_EPSILONS, PATCHED):
        for task, _ in candidates(name, networks[name], eps, PATCH_SAMPLES, 0) if left else ():
            case = screened(name, networks[name], task, Backend("sat"), PATCH_SCREEN_SECONDS) if left else None
            if case is not None:
                left -= 1
                yield case


def choose(work: Path) -> list[Case]:
    """All cases; cells that are done are read from suite.jsonl in `work`, to which every cell is added when it is done."""
    path = work / "suite.jsonl"
    done = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []
    cells = [(f"{shape}-{bits}", eps) for bits in BITS for shape in SHAPES for eps in EPSILONS]
    cells += [*((f"16-4-seed{seed}", 1) for seed in MORE_SEEDS), (PATCHES, 0)]
    for name, eps in cells[len(done) :]:
        if name == PATCHES:
            cases = patch_cases({patched: load_network(patched, DATA) for patched in PATCHED})
        else:
            cases = cell(name, load_network(name, work), eps)
        done.append([asdict(case) for case in cases])
        with path.open("a", encoding="ascii") as stream:
            stream.write(json.dumps(done[-1]) + "\n")
        print(f"{name} eps {eps}: {', '.join(case['verdict'] for case in done[-1])}", flush=True)
    return [Case(**case) for cases in done for case in cases]
