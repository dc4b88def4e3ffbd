"""Verdicts about real numbers: the bracket's error, exact outputs, and what is neither proved nor refuted."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from models import reals

from bench.paper.real import FINE, GRID, OPEN, PIXEL, WEIGHTS, RealNetwork
from qbitsat import examples
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, FloatDense, FloatNetwork
from qbitsat.verify import HOLDS, VIOLATED

TOP = 7


def chain(rng: np.random.Generator, sizes=(3, 5, 4, 3), scale: float = 2.0) -> FloatNetwork:
    """Dense layers whose neurons reach both ends of ReLU-7."""
    layers = []
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        layers.append(FloatDense(f"dense{k}", (len(layers) - 1,), scale * reals(rng, m, n), reals(rng, m)))
        if k < len(sizes) - 2:
            layers.append(Activation(f"relu{k}", (len(layers) - 1,), "relu_n", float(TOP)))
    return FloatNetwork(((sizes[0],),), tuple(layers), name="chain")


def by_fractions(model: FloatNetwork, x: list[Fraction]) -> list[Fraction]:
    """The outputs, in the slowest and plainest way."""
    values = x
    for layer in model.layers:
        if isinstance(layer, FloatDense):
            products = [sum(Fraction(w) * v for w, v in zip(row, values, strict=True)) for row in layer.weights.tolist()]
            values = [p + Fraction(b) for p, b in zip(products, layer.bias.tolist(), strict=True)]
        else:
            values = [min(max(v, Fraction(0)), Fraction(TOP)) for v in values]
    return values


@pytest.mark.parametrize("seed", range(6))
def test_outputs_are_exact_and_the_bracket_is_as_near_as_it_says(seed):
    rng = np.random.default_rng(seed)
    model = chain(rng)
    network, places, largest = RealNetwork(model), 30, 0.0
    error = network.error(np.full(3, 255 << (GRID - PIXEL)))
    for _ in range(50):
        x = rng.integers(0, (255 << (places - PIXEL)) + 1, 3)
        exact = by_fractions(model, [Fraction(int(v), 1 << places) for v in x])
        outputs, at = network.run(x, places)
        assert [Fraction(v, 1 << at) for v in outputs] == exact
        near = (x + (1 << (places - GRID - 1))) >> (places - GRID)
        bracket = forward(network.bracket, near[None])[0].tolist()
        for z, y, e in zip(exact, bracket, error, strict=True):
            apart = abs(z - Fraction(y, 1 << GRID))
            assert apart <= Fraction(e, 1 << FINE)
            largest = max(largest, float(apart / Fraction(e, 1 << FINE)))
    assert max(error) < 1 << (FINE - 10)
    assert largest > 0.01  # the bound is one that is nearly needed


@pytest.mark.parametrize("seed", range(8))
def test_verdicts_are_true_of_real_inputs(seed):
    rng = np.random.default_rng(100 + seed)
    network, found = RealNetwork(chain(rng)), set()
    for eps in (1, 4, 16, 64):
        pixels = rng.integers(0, 256, 3)
        outputs, _ = network.run(pixels, PIXEL)
        label = int(np.argmax(outputs))
        verdict, witness = network.verdict(pixels, eps, label)
        found.add(verdict)
        lo, hi = (np.clip(pixels + d, 0, 255) << (GRID - PIXEL) for d in (-eps, eps))
        if verdict == VIOLATED:
            assert (lo <= witness).all()
            assert (witness <= hi).all()
            assert network.loses(witness, GRID, label)
        else:
            assert verdict == HOLDS
            points = rng.integers(lo, hi + 1, (300, 3))
            assert not any(network.loses(point, GRID, label) for point in points)
    assert found


def test_what_is_within_the_error_is_open():
    """Two outputs that are always equal: neither is ever ahead of the other by more than the error."""
    row = np.array([[1.0, 0.3], [1.0, 0.3]])
    layers = (FloatDense("dense", (-1,), np.eye(2) * 0.7, np.zeros(2)), Activation("relu", (0,), "relu_n", 7.0))
    network = RealNetwork(FloatNetwork(((2,),), (*layers, FloatDense("last", (1,), row, np.zeros(2)))))
    assert network.verdict(np.array([9, 200]), 3, 0) == (OPEN, None)
    ahead = FloatDense("last", (1,), row, np.array([1e-4, 0.0]))
    assert RealNetwork(FloatNetwork(((2,),), (*layers, ahead))).verdict(np.array([9, 200]), 3, 0) == (HOLDS, None)
    verdict, _ = RealNetwork(FloatNetwork(((2,),), (*layers, ahead))).verdict(np.array([9, 200]), 3, 1)
    assert verdict == VIOLATED


def test_the_example_is_robust_as_it_is():
    """One step of its inputs, 1/16, is 16 pixels."""
    model, x, label = examples.nonmonotonic()
    assert RealNetwork(model).verdict(16 * x, 32, label)[0] == HOLDS


@pytest.mark.parametrize(
    "layers",
    [
        (FloatDense("dense", (-1,), np.ones((2, 2)), np.zeros(2)), Activation("relu", (0,), "relu")),
        (FloatDense("dense", (-1,), np.ones((2, 2)), np.zeros(2)), FloatDense("last", (0,), np.ones((2, 2)), np.zeros(2))),
        (FloatDense("dense", (-1,), np.ones((2, 2)), np.zeros(2)), Activation("half", (0,), "relu_n", 0.5)),
        (FloatDense("dense", (-1,), np.full((2, 2), 1e4), np.zeros(2)),),
        (FloatDense("dense", (-1,), np.full((2, 2), 1e30), np.zeros(2)),),
        # Reaches the end less a quarter of a step, which rounds to the end, which is no output.
        (FloatDense("dense", (-1,), np.full((1, 2), 1.5 / (1 << WEIGHTS)), np.array([1024 - 0.5**GRID])),),
        (FloatDense("dense", (-1,), np.ones((2, 2)), np.zeros(2)), Activation("tanh", (0,), "tanh")),
    ],
)
def test_other_models_are_refused(layers):
    with pytest.raises(ValueError, match="expected"):
        RealNetwork(FloatNetwork(((2,),), layers))
