"""Loops over the structure of layers, against rows one by one: accumulators of points and of boxes, and arguments that do not fit."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
from graphs import random_graph
from handmade import dense, tensor
from hypothesis import given, settings
from hypothesis import strategies as st

from qbitsat._kernels.exact import forward as _forward
from qbitsat._kernels.exact.layers import Layers
from qbitsat.arithmetic.steps import NONE, Steps, steps_of
from qbitsat.network import AffineMap, Network, Patches, SparseRows, forward_all, reference

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=150)
TOP = (1 << 31) - 1


def twin(network: Network, k: int, lo: list[int], hi: list[int]) -> list[tuple[int, int]]:
    """Ranges of accumulators of layer k over lo <= values <= hi, cell by cell in Python integers."""
    found, affine, padding = [], network.layers[k].affine, network.layers[k].input.zero_point
    cells = [(lo[v], hi[v]) if v >= 0 else (padding, padding) for v in network.views[k].tolist()]
    for i in range(affine.n_out):
        read, weights = affine.row(i)
        ends = [sorted((w * cells[j][0], w * cells[j][1])) for j, w in zip(read.tolist(), weights.tolist(), strict=True)]
        bias = int(affine.biases[i])
        found.append((bias + sum(a for a, _ in ends), bias + sum(b for _, b in ends)))
    return found


@EXAMPLES
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_accumulators_of_points_and_boxes_equal_rows(seed, batch):
    rng = random.Random(seed)
    network = random_graph(rng)
    ends = [[sorted(rng.choices(range(-9, 10), k=2)) for _ in range(network.num_values)] for _ in range(batch)]
    lo, hi = (np.array([[pair[end] for pair in row] for row in ends], np.int64) for end in (0, 1))
    for k, layer in enumerate(network.layers):
        acc, acc_lo, acc_hi = np.full((3, batch, layer.affine.n_out), 99, np.int64)
        _forward.accumulate(network.kernel, k, hi, acc)
        _forward.accumulate_ranges(network.kernel, k, lo, hi, acc_lo, acc_hi)
        for b in range(batch):
            assert acc[b].tolist() == [first for first, _ in twin(network, k, hi[b].tolist(), hi[b].tolist())]
            assert list(zip(acc_lo[b].tolist(), acc_hi[b].tolist(), strict=True)) == twin(network, k, lo[b].tolist(), hi[b].tolist())


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_inference_of_graphs_equals_the_reference(seed):
    rng = random.Random(seed)
    network = random_graph(rng)
    x = [[rng.randint(form.lo, form.hi) for form in network.inputs for _ in range(form.size)] for _ in range(3)]
    assert forward_all(network, np.array(x)).tolist() == [[v for part in reference.run_all(network, row) for v in part] for row in x]


def structured(kind: str, size: int, rng: np.random.Generator):
    """An affine map of one structure whose weights are as large as they may be."""

    def weights(*shape: int) -> np.ndarray:
        return rng.choice([1 - size, size - 1, 0, 3], shape)

    if kind == "rows":
        return SparseRows.of_matrix(weights(5, 20), rng.integers(-9, 9, 5))
    if kind == "dense":
        return Patches.dense(weights(7, 20), rng.integers(-9, 9, 7))
    if kind == "lanes":
        return Patches(20, np.array([0, 4]), np.array([0, 8, 4]), 1, weights(8, 1, 3), rng.integers(-9, 9, (8, 1)))
    if kind == "side_by_side":
        return Patches(20, np.arange(10), np.array([0, 10]), 0, weights(1, 1, 2), rng.integers(-9, 9, (1, 1)))
    if kind == "groups":
        return Patches(20, np.array([0, 8]), np.array([0, 1, 4, 5]), 2, weights(4, 3, 4), rng.integers(-9, 9, (4, 3)))
    return Patches(20, np.array([3, 0, 7]), np.array([0, 9, 2]), 0, weights(1, 6, 3), rng.integers(-9, 9, (1, 6)))


@pytest.mark.parametrize(("size", "wide"), [(100, False), (1 << 31, False), (1 << 24, True)])
@pytest.mark.parametrize("kind", ["rows", "dense", "lanes", "side_by_side", "groups", "patches"])
def test_every_structure_at_the_ends_of_32_bits(kind, wide, size):
    rng = np.random.default_rng(len(kind))
    affine, view = structured(kind, size, rng), rng.permutation(np.arange(-3, 17)).clip(-1).astype(np.int32)
    layers, n = Layers(17, [(affine, view, -5, ())]), affine.n_out
    lo, hi = (np.zeros((2, 17 + n), np.int64) for _ in range(2))
    lo[:, :17], hi[:, :17] = (-TOP - 1, TOP) if wide else (-99, 77)
    hi[1, :17] = lo[1, :17]
    acc, acc_lo, acc_hi = np.full((3, 2, n), 99, np.int64)
    _forward.accumulate(layers, 0, lo, acc)
    _forward.accumulate_ranges(layers, 0, lo, hi, acc_lo, acc_hi)
    for i in range(n):
        cells, weights = affine.row(i)
        inside = view[cells] >= 0
        bias = int(affine.biases[i]) - 5 * int(weights[~inside].sum())
        ends = [sorted((w * int(lo[0, 0]), w * int(hi[0, 0]))) for w in weights[inside].tolist()]
        assert (acc_lo[0, i], acc_hi[0, i]) == (bias + sum(a for a, _ in ends), bias + sum(b for _, b in ends))
        assert acc[0, i] == acc_lo[1, i] == acc_hi[1, i] == bias + int(lo[0, 0]) * int(weights[inside].sum())


def arguments(**change):
    affine = dense([[1, 2], [3, 0]], form=tensor(2)).affine
    return {
        "affine": affine,
        "view": np.arange(2, dtype=np.int32),
        "lo": np.zeros((1, 4), np.int64),
        "acc": np.zeros((1, 2), np.int64),
    } | change


def forged(affine: AffineMap, **change) -> SimpleNamespace:
    """What kernels read of a map, some of it changed to what no map would take."""
    names = ("n_in", "n_out", "biases", "max_weight", "start", "offset", "stride", "rows", "indptr", "indices", "weights")
    return SimpleNamespace(**{name: getattr(affine, name) for name in names if hasattr(affine, name)} | change)


def words(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


DENSE = Patches.dense(np.ones((2, 2), np.int32), np.zeros(2, np.int64))
ROWS = SparseRows.of_matrix(np.eye(2, dtype=np.int32), np.zeros(2, np.int64))
FAULTS = {
    "acc_batch": {"acc": np.zeros((2, 2), np.int64)},
    "acc_outputs": {"acc": np.zeros((1, 3), np.int64)},
    "values": {"lo": np.zeros((1, 3), np.int64)},
    "view_long": {"view": words(0, 1, 2)},
    "view_own_output": {"view": words(0, 2)},
    "view_negative": {"view": words(0, -2)},
    "start": {"affine": forged(DENSE, start=words(1))},
    "start_negative": {"affine": forged(DENSE, start=words(-1))},
    "offset": {"affine": forged(DENSE, offset=words(0, 2))},
    "stride": {"affine": forged(DENSE, stride=1, rows=np.ones((2, 1, 2), np.int32))},
    "taps": {"affine": forged(DENSE, offset=words(0))},
    "bias": {"affine": forged(DENSE, biases=np.zeros(3, np.int64))},
    "indptr": {"affine": forged(ROWS, indptr=np.array([0, 2]))},
    "indptr_falls": {"affine": forged(ROWS, indptr=np.array([0, 3, 2]))},
    "weights": {"affine": forged(ROWS, weights=words(1))},
    "index_too_large": {"affine": forged(ROWS, indices=words(0, 2))},
    "index_negative": {"affine": forged(ROWS, indices=words(0, -1))},
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS)
def test_arguments_that_do_not_fit(change):
    given = arguments(**change)
    with pytest.raises(ValueError, match=r"must be|before it|beyond|do not fit|are not|biases of"):
        _forward.accumulate(Layers(2, [(given["affine"], given["view"], 0, ())]), 0, given["lo"], given["acc"])


def test_layers_that_do_not_exist():
    layers = Layers(2, [(DENSE, words(0, 1), 0, ())])
    for k in (-1, 1):
        with pytest.raises(IndexError):
            _forward.accumulate(layers, k, np.zeros((1, 4), np.int64), np.zeros((1, 2), np.int64))


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_outputs_of_accumulators_are_those_of_requantizers(seed):
    """Near thresholds, and far beyond all of them."""
    rng = random.Random(seed)
    network = random_graph(rng)
    for k, layer in enumerate(network.layers):
        if not network.kernel.stepped(k):
            assert not all(steps_of(r).stepped for r in layer.requantizers)
            continue
        acc = np.array([[rng.randint(-(10**e), 10**e) for _ in range(layer.affine.n_out)] for e in (1, 2, 3, 5, 9)])
        assert _forward.requantize(network.kernel, k, acc).tolist() == layer.requantize(acc).tolist()


def test_outputs_without_steps_are_refused():
    layers = Layers(2, [(DENSE, words(0, 1), 0, (Steps(NONE, 0, 3),))])
    with pytest.raises(ValueError, match="all with steps"):
        _forward.requantize(layers, 0, np.zeros((1, 2), np.int64))
