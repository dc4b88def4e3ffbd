"""Layers, inequalities and nodes with floats drawn freely, for kernels that suggest multipliers and their twin."""

import numpy as np
from descent_twin import Layer, Node

from qbitsat._kernels.exact.layers import Layers
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.network import Convolution, Patches, SparseRows, TensorFormat

INPUTS = 47


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """None is 0, so that no input's coefficient is."""
    return rng.integers(1, 9, shape) * rng.choice([-1, 1], shape)


def random_layers(rng: np.random.Generator, inputs: int) -> tuple[Layers, list]:
    """Two dense layers over inputs and one behind each, with rows of few and of many weights."""
    layers = []
    for n_out, n_in, first in (4, 25, 0), (3, 4, 47), (5, 22, 25), (2, 5, 54):
        matrix, bias = weights(rng, n_out, n_in), rng.integers(-2, 3, n_out)
        layers.append((Patches.dense(matrix, bias), np.arange(first, first + n_in, dtype=np.int32), 0, ()))
    return Layers(inputs, layers), layers


def graph_layers(rng: np.random.Generator, inputs: int) -> tuple[Layers, list]:
    """A dense layer, a padded convolution over inputs and outputs, a sum and sparse rows, and another dense layer over the same inputs."""
    image = TensorFormat((4, 5, 2), -9, 9, 1.0, 2)
    kernel, same = weights(rng, 2, 3, 3, 2), ((1, 1), (1, 0))
    convolution = Convolution(
        "convolution", image, TensorFormat((2, 2, 2), -9, 9), (ShiftRequantizer(0, "floor", -9, 9),), kernel, [1, -1], (2, 2), same
    )
    cells = rng.permutation(inputs + 6)[:40]
    read = np.where(convolution.cells < 0, -1, cells[convolution.cells]).astype(np.int32)
    total = Patches(24, np.zeros(1, int), np.array([0, 12]), 1, rng.integers(1, 4, (12, 1, 2)), np.zeros((12, 1), int))
    sparse = SparseRows.of_matrix(rng.integers(0, 2, (3, 26)) * weights(rng, 3, 26), rng.integers(-2, 3, 3))
    twice = rng.integers(0, inputs + 30, 24).astype(np.int32)
    dense = [Patches.dense(weights(rng, n_out, 25), rng.integers(-2, 3, n_out)) for n_out in (6, 2)]
    early = np.arange(25, dtype=np.int32)
    layers = [(dense[0], early, 0, ()), (convolution.affine, read, 2, ()), (total, twice % (inputs + 14), 0, ())]
    layers += [(sparse, np.arange(inputs, inputs + 26, dtype=np.int32), 0, ()), (dense[1], early, 0, ())]
    return Layers(inputs, layers), layers


def places_of(affine, view: np.ndarray) -> list:
    """Outputs and values of each position; one for rows, and for single weights that the kernel takes side by side."""
    together = isinstance(affine, SparseRows) or (affine.positions > 1 and affine.bias.size == 1 and (np.diff(affine.start) == 1).all())
    if together:
        return [(np.arange(affine.n_out), view[view >= 0])]
    found = []
    for p in range(affine.positions):
        cells = affine.start[p] + np.arange(affine.groups)[:, None] * affine.stride + affine.offset
        values = np.unique(view[cells])
        found.append((p * affine.bias.size + np.arange(affine.bias.size), values[values >= 0]))
    return found


def in_order(layers: list) -> list[Layer]:
    """The layers of a kernel as its twin takes them."""
    found, neuron, taken = [], 0, set()
    for affine, view, padding, _ in layers:
        matrix, bias = np.zeros((affine.n_out, 200)), affine.biases.astype(float)
        for i in range(affine.n_out):
            cells, weights = affine.row(i)
            np.add.at(matrix[i], np.maximum(view[cells], 0), np.where(view[cells] < 0, 0, weights))
            bias[i] += padding * weights[view[cells] < 0].sum()
        reads = np.unique(view[view >= 0])
        by_columns = isinstance(affine, Patches) and affine.is_dense and reads.max() < INPUTS and not taken & set(reads.tolist())
        taken |= set(reads.tolist()) if by_columns else set()
        found.append(Layer(matrix[:, reads], bias, reads, neuron, by_columns, places_of(affine, view)))
        neuron += affine.n_out
    return found


def alone(layers: list, make) -> list:
    """Layers as kernels take them that go side by side: no inputs that follow by columns, and single outputs of lanes and of rows."""

    def places(k, layer):
        if make is random_layers or k not in (2, 3):
            return layer.places
        return [(np.array([i]), layer.reads[layer.matrix[i] != 0]) for i in range(len(layer.matrix))]

    return [layer._replace(by_columns=False, places=places(k, layer)) for k, layer in enumerate(layers)]


def random_node(seed: int, make=random_layers):
    """Layers, inequalities and one node, its floats drawn freely, so that nothing ties."""
    rng = np.random.default_rng(seed)
    kernel, parts = make(rng, INPUTS)
    layers = in_order(parts)
    neuron = sum(len(layer.bias) for layer in layers)
    picks = [rng.choice(INPUTS + neuron, 4, replace=False).astype(np.int32) for _ in range(3)]
    inequalities = [(p, rng.normal(0, 1, 4).astype(np.float32), float(rng.normal(0, 1))) for p in picks]
    low, acc, y = (rng.normal(0, 1, shape).astype(np.float32) for shape in (INPUTS, (6, neuron), (6, neuron)))
    slopes = np.where(rng.random(neuron) < 0.2, -1, rng.random(neuron)).astype(np.float32)
    node = Node(low, low + rng.random(INPUTS).astype(np.float32), acc, y, slopes)
    return (kernel, layers), inequalities, node, rng.normal(0, 1, neuron).astype(np.float32), rng.random(3).astype(np.float32)


def flat(inequalities):
    """Inequalities with any coefficients as the kernel takes them."""
    starts = np.cumsum([0, *(len(values) for values, _, _ in inequalities)])
    values = np.concatenate([np.empty(0, np.int32), *(values for values, _, _ in inequalities)])
    coefficients = np.concatenate([floats(0), *(coefficients for _, coefficients, _ in inequalities)])
    return starts, values, coefficients, np.array([bound for *_, bound in inequalities], np.float32)


def floats(*shape):
    return np.zeros(shape, np.float32)
