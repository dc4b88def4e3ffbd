"""Kernels let other threads run: one that counts gets on while a long call is under way."""

import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import qbitsat
from qbitsat._kernels.cnf.layers import Encoder, Words
from qbitsat._kernels.exact import forward as _forward
from qbitsat._kernels.exact import ranges as _ranges
from qbitsat._kernels.exact.layers import Layers
from qbitsat.bounds import propagate
from qbitsat.bounds.reduction import Reduction
from qbitsat.limits import Limits
from qbitsat.network import SparseRows
from qbitsat.options import make_options
from qbitsat.properties.formula import without_not
from qbitsat.search import Search

# What numpy lets through beside a kernel is less, in all calls together.
ENOUGH = 300


class Counter(threading.Thread):
    """Counts for as long as it gets the lock, which nobody takes from the other thread: it has to be given."""

    def __init__(self):
        super().__init__(daemon=True)
        self.count, self.ended = 0, False

    def run(self):
        while not self.ended:
            self.count += 1
            time.sleep(0)


@pytest.fixture
def counter() -> Iterator[Counter]:
    interval = sys.getswitchinterval()
    thread = Counter()
    thread.start()
    sys.setswitchinterval(1000)
    yield thread
    sys.setswitchinterval(interval)
    thread.ended = True
    thread.join()


@pytest.fixture(scope="module")
def search() -> Search:
    """The search of a query that bounds leave open."""
    network, (x, label) = qbitsat.load(qbitsat.examples.network_path()), qbitsat.examples.sample(40)
    query, options = qbitsat.robustness(network, x, 2, label), make_options(rounding=False, anneal=False)
    search = Search(Reduction(query, propagate(query), without_not(query.violation)), options, Limits())
    search.start()
    while search.disjuncts.table[int(search.stack[-1].branch[0])].waiting:
        search.step()
    return search


def layers(n: int = 400) -> Layers:
    affine = SparseRows.of_matrix(np.full((n, n), 3), np.zeros(n, np.int64))
    return Layers(n, [(affine, np.arange(n, dtype=np.int32), 0, ())])


def forward(_: Search) -> Callable[[], object]:
    values, acc = np.ones((300, 800), np.int64), np.empty((300, 400), np.int64)
    return lambda: _forward.accumulate(layers(), 0, values, acc)


def intervals(_: Search) -> Callable[[], object]:
    values, acc = np.ones((300, 800), np.int64), np.empty((2, 300, 400), np.int64)
    return lambda: _forward.accumulate_ranges(layers(), 0, values, values, *acc)


def rows(search: Search, count: int):
    """The first open node, many times."""
    return search.stack[-1].take(np.zeros(count, np.int64))


def propagated(search: Search) -> Callable[[], object]:
    ranges = rows(search, 3000).ranges
    return lambda: _ranges.propagate(search.layout.kernel, *ranges.arrays, True, np.zeros(3000, np.int64))


def narrowed(search: Search) -> Callable[[], object]:
    nodes, cuttable = rows(search, 1), np.ones(search.layout.num_values, np.uint8)
    # One node, and the same inequality again and again: most of the time goes to the cuts.
    atoms = np.full((1, 1_000_000), nodes.atoms[0, 0], np.int32)
    return lambda: _ranges.narrow(search.layout.kernel, *nodes.ranges.arrays, search.disjuncts.kernel, atoms, cuttable)


def undecided(search: Search) -> Callable[[], object]:
    nodes = rows(search, 1)
    atoms = np.full((1, 1_000_000), nodes.atoms[0, 0], np.int32)
    return lambda: _ranges.undecided(search.layout.kernel, *nodes.ranges.arrays, search.disjuncts.kernel, atoms)


def vertices(search: Search) -> Callable[[], object]:
    ranges = rows(search, 20_000).ranges
    return lambda: _ranges.vertices(search.layout.kernel, *ranges.arrays)


def descent(search: Search) -> Callable[[], object]:
    nodes = rows(search, 8)
    cold, zeros = np.ones(8, bool), np.zeros_like(nodes.multipliers)
    return lambda: search.scheduler.descent.run(nodes.ranges, nodes.atoms, cold, zeros, nodes.shares, 2000)


def dual(search: Search) -> Callable[[], object]:
    nodes = rows(search, 5000)
    nodes.multipliers[:] = 0.5
    arrays = nodes.atoms, nodes.shares, nodes.multipliers
    return lambda: search.dual.kernel.run(*nodes.ranges.arrays, np.arange(5000), *arrays)


def simplex(search: Search) -> Callable[[], object]:
    nodes, programs = rows(search, 100), search.scheduler.lp
    programs.kernel = programs.kernel or programs._build()

    def solve() -> None:
        nodes.basis[:] = -1
        programs._solve(nodes, np.arange(len(nodes)))

    return solve


def annealing(search: Search) -> Callable[[], object]:
    node, annealer = rows(search, 1), search.scheduler.annealer
    branch = int(node.branch[0])
    x = (node.ranges.lo + node.ranges.hi)[0, : search.layout.num_inputs] / 2
    assert annealer._begin(branch, search.disjuncts.table[branch].atoms, node.ranges, x)
    return lambda: annealer.kernel.on(20_000, 1.0)


def dot(_: Search) -> Callable[[], object]:
    n = 2000
    encoder = Encoder()
    source = encoder.variables(np.full(n, 255))
    indices, weights = np.arange(n, dtype=np.int32), np.arange(1, n + 1)
    return lambda: encoder.dot(source, indices, weights, True)


def variables(_: Search) -> Callable[[], object]:
    spans = np.full(100_000, 200)
    return lambda: Encoder().variables(spans)


def at_most(_: Search) -> Callable[[], object]:
    n = 2000
    encoder = Encoder()
    words = encoder.variables(np.full(n, 255))
    return lambda: encoder.at_most(words, np.arange(1, n + 1), 1 << 20, 1)


def difference(_: Search) -> Callable[[], object]:
    encoder, target = Encoder(), Words(1)
    words = encoder.variables(np.array([(1 << 30) - 1]))

    def many() -> None:
        for factor in range(1, 2000, 2):
            encoder.difference(target, 0, words, 0, factor, words, 0, factor, 0, 1)

    return many


def dimacs(_: Search) -> Callable[[], object]:
    encoder = Encoder()
    encoder.variables(np.full(300_000, 255 - 8))
    return lambda: encoder.clauses.dimacs(0, len(encoder.clauses))


KERNELS = (forward, intervals, propagated, narrowed, undecided, vertices, descent, dual, simplex, annealing, dot, variables, at_most,
           difference, dimacs)  # fmt: skip


@pytest.mark.parametrize("prepare", KERNELS, ids=lambda prepare: prepare.__name__)
def test_kernel_lets_others_run(prepare, search, counter):
    call, before = prepare(search), counter.count
    for _ in range(100):
        call()
        if counter.count - before > ENOUGH:
            return
    raise AssertionError(f"{counter.count - before} steps of another thread")


def test_the_count_sees_who_keeps_the_lock(counter):
    before = counter.count
    for _ in range(10):
        assert sorted(range(100_000), key=lambda number: -number)[0] == 99_999
        np.empty(1000)
    assert counter.count == before
