"""Networks written by hand for tests: a layer from a matrix, a network from layers, and a query about them."""

import numpy as np

from qbitsat.arithmetic import Requantizer, ShiftRequantizer
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.properties import Box, Formula, Query, Ref
from qbitsat.properties.formula import INPUT, OUTPUT

IDENTITY = ShiftRequantizer(0, "floor", -(1 << 20), 1 << 20)


def tensor(size: int, lo: int = 0, hi: int = 15, zero_point: int = 0) -> TensorFormat:
    return TensorFormat((size,), lo, hi, 1.0, zero_point)


def dense(weights, bias=None, requantizers: Requantizer | tuple[Requantizer, ...] = IDENTITY, form: TensorFormat | None = None) -> Dense:
    """A layer whose output format is what its requantizers give; biases are 0 and inputs 0 to 15 unless told."""
    n_out, n_in = np.shape(weights)
    requantizers = requantizers if isinstance(requantizers, tuple) else (requantizers,)
    output = tensor(n_out, min(r.lo for r in requantizers), max(r.hi for r in requantizers))
    bias = np.zeros(n_out, np.int64) if bias is None else np.asarray(bias)
    return Dense("dense", form or tensor(n_in), output, requantizers, np.asarray(weights), bias)


def one_layer(weights, bias=None, requantizers: Requantizer | tuple[Requantizer, ...] = IDENTITY, form=None) -> Network:
    return Network((dense(weights, bias, requantizers, form),), "handmade")


def copying(size: int, lo: int = 0, hi: int = 15) -> Network:
    """Outputs are the inputs."""
    return one_layer(np.eye(size, dtype=np.int64), None, ShiftRequantizer(0, "floor", lo, hi), tensor(size, lo, hi))


def whole_box(network: Network) -> Box:
    """Every input of the format."""
    form = network.input
    return Box(np.full(form.size, form.lo), np.full(form.size, form.hi))


def query(network: Network, violation: Formula, box: Box | None = None) -> Query:
    return Query((network,), (box or whole_box(network),), violation)


def x(element: int) -> Ref:
    return Ref(0, INPUT, element)


def y(element: int) -> Ref:
    return Ref(0, OUTPUT, element)
