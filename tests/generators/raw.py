"""Random queries of networks with raw integer outputs: whole sums, thousands of levels, few inputs, conjunctions on several outputs.

Here a violation often decides its own neurons' ranges, down to the inputs, as in networks made from formulas of propositional logic.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from tiny import all_values, equal

from qbitsat.arithmetic import ROUNDINGS, ShiftRequantizer, divide_pow2
from qbitsat.network import Dense, Network, TensorFormat
from qbitsat.properties import And, AtMost, Box, Formula, Not, Or, Query, Ref
from qbitsat.properties.formula import INPUT, OUTPUT

# Points of all networks' boxes together, at most.
MOST_POINTS = 256
LARGEST = (1 << 30) - 1
# Where levels are thousands and inputs few, a tree may go on for minutes.
RAW_SECONDS = 0.3


def sums(weights: np.ndarray, bias: np.ndarray, form: TensorFormat) -> tuple[int, int]:
    """The smallest and the largest sum of any neuron."""
    x_lo, x_hi = form.lo - form.zero_point, form.hi - form.zero_point
    up, down = np.maximum(weights, 0), np.minimum(weights, 0)
    return int((up * x_lo + down * x_hi).sum(axis=1).min() + bias.min()), int((up * x_hi + down * x_lo).sum(axis=1).max() + bias.max())


def raw_layer(rng: random.Random, form: TensorFormat, n: int, last: bool) -> Dense:
    """Shift 0, -1 or little; the range is that of all sums, of one side of them, of two values, or cuts sums off at one end or both."""
    weight = rng.choice([1, 1, 2, 5, *[rng.choice([100, 1000, 3000])] * (2 if last else 1)])
    weights = np.array([[rng.choice([0, rng.randint(-weight, weight), weight, -weight]) for _ in range(form.size)] for _ in range(n)])
    bias = np.array([rng.choice([0, 1, rng.randint(-weight, weight), -weight]) for _ in range(n)])
    shift, rounding, offset = rng.choice([0, 0, 0, -1, -2, 1]), rng.choice(ROUNDINGS), rng.choice([0, 0, 0, rng.randint(-3, 3)])
    least, most = (divide_pow2(end, shift, rounding) + offset for end in sums(weights, bias, form))
    middle = (least + most) // 2
    ends = {
        "whole": (least, most),
        "positive": (0, max(1, most)),
        "bits": (0, 1),
        "half": (least, middle),
        "inner": (middle - (most - least) // 8, middle + (most - least) // 8),
    }
    kind = rng.choice(["whole", "whole", "whole", "half", "inner"] if last else ["positive", "positive", "bits", "half"])
    lo, hi = (max(-LARGEST, min(LARGEST, end)) for end in ends[kind])
    requantizers: tuple[ShiftRequantizer, ...] = (ShiftRequantizer(shift, rounding, lo, hi, "saturate", offset),)
    if rng.random() < 0.2:
        requantizers = tuple(ShiftRequantizer(rng.choice([shift, 0]), rounding, lo, hi, "saturate", rng.randint(-2, 2)) for _ in range(n))
    return Dense("raw", form, TensorFormat((n,), lo, hi, 1.0, rng.choice([0, 0, 0, lo])), requantizers, weights, bias)


def raw_network(rng: random.Random, n_in: int) -> Network:
    """Wide, or a chain of up to six layers of one or two neurons; inputs of two values, mostly."""
    lo = rng.choice([0, 0, 0, -1, 5])
    form = TensorFormat((n_in,), lo, lo + rng.choice([1, 1, 1, 2, 3]), 1.0, rng.choice([0, 0, lo]))
    sizes = rng.choice(
        [[rng.randint(4, 12)], [rng.randint(1, 4), rng.randint(1, 4)], [rng.randint(1, 2) for _ in range(rng.randint(1, 5))]]
    )
    layers: list[Dense] = []
    for n in sizes:
        layers.append(raw_layer(rng, form, n, False))
        form = layers[-1].output
        if form.hi - form.lo > 1 << 16:  # products of layers would leave the exact range
            break
    return Network((*layers, raw_layer(rng, form, rng.randint(1, 4), True)), "raw")


def raw_atom(rng: random.Random, values: np.ndarray, ref: Ref) -> AtMost:
    """An element is at most, or at least, one of the values that it takes, or just none of them."""
    ordered, sign = np.sort(values), rng.choice([1, -1])
    bound = int(rng.choice([ordered[0], ordered[-1], rng.choice(ordered.tolist())])) + rng.choice([0, 0, 0, 1, -1])
    return AtMost(((sign, ref),), sign * bound)


def raw_formula(rng: random.Random, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Formula:
    """An And of inequalities on different elements, or several of those in an Or, or the negation of such an Or."""

    def conjunction() -> And:
        refs = [Ref(k, OUTPUT, i) for k, y in enumerate(outputs) for i in range(y.shape[1])]
        refs = rng.sample(refs, rng.randint(1, min(4, len(refs))))
        refs += [Ref(k, INPUT, rng.randrange(x.shape[1])) for k, x in enumerate(inputs) if rng.random() < 0.15]
        parts = [raw_atom(rng, (inputs if ref.tensor == INPUT else outputs)[ref.network][:, ref.element], ref) for ref in refs]
        if len(refs) > 1 and rng.random() < 0.3:
            a, b = refs[:2]
            parts.append(AtMost(((1, a), (-1, b)), rng.randint(-2, 2)))
        return And(tuple(parts))

    if rng.random() < 0.6:
        return conjunction()
    several = Or(tuple(conjunction() for _ in range(rng.randint(2, 3))))
    return several if rng.random() < 0.8 else Not(several)


def raw_query(rng: random.Random) -> Query:
    """Over one network, two, or two copies of one whose inputs are equal but for some."""
    kind = rng.choice(["one", "one", "one", "two", "twins"])
    first = raw_network(rng, rng.randint(1, 8 if kind == "one" else 4))
    networks = {"one": (first,), "two": (first, raw_network(rng, rng.randint(1, 3))), "twins": (first, first)}[kind]
    boxes, budget = [], MOST_POINTS
    for network in networks:
        form, lo, hi = network.input, [], []
        for _ in range(form.size):
            top = form.hi if form.hi - form.lo < budget else form.lo
            bottom = form.lo if rng.random() < 0.9 else top
            budget //= top - bottom + 1
            lo.append(bottom)
            hi.append(top)
        boxes.append(Box(np.array(lo), np.array(hi)))
    formula = raw_formula(rng, *all_values(networks, boxes))
    if kind == "twins":
        same = [i for i in range(first.input.size) if rng.random() < 0.8]
        formula = And((*(equal(Ref(0, INPUT, i), Ref(1, INPUT, i)) for i in same), formula))
    return Query(networks, tuple(boxes), formula)
