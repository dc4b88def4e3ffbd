"""The queries of bench/encodings.py: which ones, and by what rule.

Digits: networks of shapes 64-16-10, 64-32-10 and 64-16-16-10 at 4 to 8 bits, trained by bench/train_digits.py with its
defaults. A cell is one of them at eps 1 or 2. Its candidates are the held-back images that the network gets right and that
interval bounds and the attack leave open. They are walked in this order: first those that a longer attack violates, because
few queries are violated where an attack fails; then those with fewer open classes; then by sample. Each candidate is
screened by one backend, `sat`, `boolector` or `bitwuzla` by turns, all with the plain balanced encoding, and is in the suite if
that backend decides it within SCREEN_SECONDS: no backend chooses more than another, and what no solver can do is left out.

Few queries are violated, missed by the attack and within any solver's reach; most of them are 64-16-10 at 4 bits and eps 1. So that
cell is taken with the seeds of MORE_SEEDS too.

MNIST: queries of the 784-64-32 and 784-64-32-10 networks, all 784 pixels free. The samples of each of MNIST_CELLS are shuffled by
MNIST_SEED, and the cells take turns. What bounds and attack leave open is screened by `sat` as it is by default, within
MNIST_SCREEN_SECONDS, because no other backend decides any in seconds: so these queries show what `sat` can do and the others can not,
and not how often it can.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

import qbitsat
from bench.digits import split
from qbitsat.attack import propose
from qbitsat.bounds import propagate, simplify
from qbitsat.campaign import Task, Verifier, query_of
from qbitsat.campaign.compare import Backend, compare
from qbitsat.importers import load_inputs, load_labels
from qbitsat.limits import Limits
from qbitsat.network import Network, classify
from qbitsat.options import make_options
from qbitsat.properties import Or
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
SCREEN_SECONDS = 2.5
LONG_RESTARTS = 100
SCREENS = (Backend("sat", "balanced", "glucose42"), Backend("boolector", "balanced"), Backend("bitwuzla", "balanced"))

AAAI, QVIP6, QVIP8 = MNIST = ("aaai21/mnist_mlp.h5", "qvip/qu_mnist_2blk_64_32_in_8_qu_6.h5", "qvip/qu_mnist_2blk_64_32_in_8_qu_8.h5")
MNIST_CELLS = ((QVIP6, 1), (AAAI, 2), (AAAI, 3), (QVIP8, 1), (QVIP6, 2))
MNIST_SAMPLES, MNIST_SEED = 1000, 7
MNIST_SCREEN_SECONDS = 10.0
MNIST_WANTED, MNIST_TRIED = 20, 100


@dataclass(frozen=True)
class Case:
    """One query of the suite. `network` is a shape and bits like 16,16-4, or a file of MNIST."""

    network: str
    sha256: str
    sample: int
    eps: int
    verdict: str
    decided_by: str
    seconds: float


@cache
def images(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images int64[n, size] and labels int64[n] that a network's samples are taken from."""
    if name not in MNIST:
        _, _, x, y = split()
        return x.astype(np.int64), y
    form = load_network(name, DATA).input
    folder = DATA / "mnist"
    return load_inputs(folder / "t10k-images-idx3-ubyte.gz", form), load_labels(folder / "t10k-labels-idx1-ubyte.gz")


def load_network(name: str, work: Path) -> Network:
    """A network of the suite; the trained ones are in `work`."""
    if name in MNIST:
        return qbitsat.load(DATA / name, **({} if "_qu_" in name else {"bits": 6}))
    return qbitsat.load(work / name / "digits.npz")


def task_of(name: str, sample: int, eps: int, index: int = 0) -> Task:
    x, y = images(name)
    return Task(index, sample, eps, x[sample], int(y[sample]))


def candidates(name: str, network: Network, eps: int, samples: int, restarts: int = LONG_RESTARTS) -> list[tuple[Task, bool]]:
    """Tasks that bounds and attack leave open, and whether a longer attack succeeds; in the order of the walk."""
    found = []
    x, y = images(name)
    right = classify(network, x[:samples]) == y[:samples]
    for sample in np.flatnonzero(right).tolist():
        task = task_of(name, sample, eps)
        query = query_of(task, network)
        formula = simplify(query, propagate(query))
        if formula in (FALSE, TRUE) or propose(query, formula, make_options(), Limits()) is not None:
            continue
        longer = propose(query, formula, make_options(restarts=restarts, seed=1), Limits())
        found.append((longer is None, len(formula.parts) if isinstance(formula, Or) else 1, task.sample, task))
    return [(task, not missed) for missed, _, _, task in sorted(found)]


def screened(name: str, network: Network, task: Task, backend: Backend, seconds: float) -> Case | None:
    """The task as a case of the suite, if the backend decides it in time."""
    verifier = Verifier(network, {"timeout": seconds, "memory": None, "bounds": True})
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


def mnist_cases(networks: dict[str, Network]) -> Iterator[Case]:
    """MNIST_WANTED cases, or those among the first MNIST_TRIED candidates."""
    rng = random.Random(MNIST_SEED)
    walks = [[(name, sample, eps) for sample in rng.sample(range(MNIST_SAMPLES), MNIST_SAMPLES)] for name, eps in MNIST_CELLS]
    tried = found = 0
    for name, sample, eps in itertools.chain(*zip(*walks, strict=True)):
        task = task_of(name, sample, eps)
        if not open_candidate(networks[name], task):
            continue
        tried += 1
        case = screened(name, networks[name], task, Backend("sat"), MNIST_SCREEN_SECONDS)
        print(f"{name} sample {sample} eps {eps}: {case.verdict if case else 'open'}", flush=True)
        if case is not None:
            found += 1
            yield case
        if found == MNIST_WANTED or tried == MNIST_TRIED:
            return


def open_candidate(network: Network, task: Task) -> bool:
    """Whether the network is right and neither bounds nor the attack decide."""
    if int(classify(network, np.array(task.x)[None])[0]) != task.label:
        return False
    query = query_of(task, network)
    formula = simplify(query, propagate(query))
    return formula not in (FALSE, TRUE) and propose(query, formula, make_options(), Limits()) is None


def choose(work: Path) -> list[Case]:
    """All cases; cells that are done are read from suite.jsonl in `work`, to which every cell is added when it is done."""
    path = work / "suite.jsonl"
    done = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []
    cells = [(f"{shape}-{bits}", eps) for bits in BITS for shape in SHAPES for eps in EPSILONS]
    cells += [*((f"16-4-seed{seed}", 1) for seed in MORE_SEEDS), ("mnist", 0)]
    for name, eps in cells[len(done) :]:
        if name == "mnist":
            cases = mnist_cases({file: load_network(file, DATA) for file in MNIST})
        else:
            cases = cell(name, load_network(name, work), eps)
        done.append([asdict(case) for case in cases])
        with path.open("a", encoding="ascii") as stream:
            stream.write(json.dumps(done[-1]) + "\n")
        print(f"{name} eps {eps}: {', '.join(case['verdict'] for case in done[-1])}", flush=True)
    return [Case(**case) for cases in done for case in cases]
