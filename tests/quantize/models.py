"""Small float models of all kinds of layers, with weights that are often beside a tie."""

from __future__ import annotations

import numpy as np

from qbitsat.network.float_network import (
    Activation,
    Add,
    Concat,
    FloatConvolution,
    FloatDense,
    FloatNetwork,
    GlobalPool,
    Pad,
    Pool,
    Reshape,
)

# With an input, weights and activations of types of their own.
AP = "ap_fixed<9,3,RND_CONV,SAT_SYM>,input=ap_ufixed<8,1>,weights=ap_fixed<7,2,RND_ZERO>,activations=ap_ufixed<8,2,RND_MIN_INF>"


def reals(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Half of them multiples of 1/64."""
    values = rng.normal(0, 0.6, shape)
    return np.where(rng.random(shape) < 0.5, np.round(values * 64) / 64, values)


def rectifier(rng: np.random.Generator, name: str, k: int) -> Activation:
    return Activation(name, (k,), "relu") if rng.random() < 0.5 else Activation(name, (k,), "relu_n", float(rng.choice([1.0, 1.7, 7.0])))


def chain(rng: np.random.Generator, n_in: int = 4, n_out: int = 3) -> FloatNetwork:
    """Two or three dense layers."""
    layers, width = [], n_in
    for k in range(int(rng.integers(1, 3))):
        size = int(rng.integers(2, 6))
        layers.append(FloatDense(f"dense{k}", (len(layers) - 1,), reals(rng, size, width), reals(rng, size)))
        layers.append(rectifier(rng, f"relu{k}", len(layers) - 1))
        width = size
    layers.append(FloatDense("last", (len(layers) - 1,), reals(rng, n_out, width), reals(rng, n_out)))
    return FloatNetwork(((n_in,),), tuple(layers), name="chain")


def graph(rng: np.random.Generator) -> FloatNetwork:
    """A convolution, a depthwise one beside it, their sum, pools and a dense layer."""
    channels = 2
    layers = [
        FloatConvolution("conv", (-1,), reals(rng, channels, 3, 3, 1), reals(rng, channels), padding=((1, 1), (1, 1))),
        rectifier(rng, "relu_conv", 0),
        FloatConvolution("depthwise", (1,), reals(rng, channels, 1, 1, 1), reals(rng, channels), groups=channels),
        Add("add", (1, 2)),
        rectifier(rng, "relu_add", 3),
        Pool("largest", (4,), "max", (2, 2), (2, 2)),
        Pool("mean", (4,), "average", (2, 2), (2, 2)),
        Concat("concat", (5, 6), 2),
        Pad("pad", (7,), ((0, 1), (0, 0), (0, 0))),
        Reshape("flat", (8,), (3 * 2 * 4,)),
        FloatDense("last", (9,), reals(rng, 3, 24), reals(rng, 3)),
    ]
    return FloatNetwork(((4, 4, 1),), tuple(layers), name="graph")


def residual(rng: np.random.Generator) -> FloatNetwork:
    """Groups, sums, pools with and without borders, and rectifiers that are fused and that are not."""
    same = ((1, 1), (1, 1))
    layers = [
        FloatConvolution("conv", (-1,), reals(rng, 4, 3, 3, 2), reals(rng, 4), padding=same),
        Activation("relu", (0,), "relu"),
        FloatConvolution("groups", (1,), reals(rng, 4, 3, 1, 2), reals(rng, 4), padding=((1, 1), (0, 0)), groups=2),
        FloatConvolution("depthwise", (1,), reals(rng, 4, 1, 2, 1), reals(rng, 4), padding=((0, 0), (0, 1)), groups=4),
        Add("add", (2, 3)),
        Activation("relu_add", (4,), "relu_n", 1.7),
        Add("again", (2, 1)),
        Activation("relu_two", (2,), "relu"),
        Pool("largest", (5,), "max", (2, 3), (2, 1), ((0, 0), (1, 1))),
        Pool("means", (8,), "average", (2, 2), (1, 2), ((1, 0), (0, 0))),
        Pool("thirds", (6,), "average", (1, 3), (1, 1)),
        GlobalPool("mean", (10,), "average"),
        GlobalPool("most", (7,), "max"),
        Add("ends", (11, 12)),
        Reshape("flat", (9,), (16,)),
        FloatDense("dense", (14,), reals(rng, 4, 16), reals(rng, 4)),
        Add("all", (13, 15)),
    ]
    return FloatNetwork(((4, 4, 2),), tuple(layers))
