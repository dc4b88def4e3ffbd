"""The Cython bit-blaster against its plain Python twin: the same clauses, byte for byte."""

import random

import numpy as np
import pytest
from neurons import random_neuron, requantize_arguments

from qbitsat._kernels.cnf.layers import Encoder, Words
from qbitsat.arithmetic import ROUNDINGS
from qbitsat.certificate.bitblast import FALSE, TRUE, Bitblaster


def random_literals(rng, count):
    return [rng.choice([TRUE, FALSE, *(s * v for v in range(1, 5) for s in (1, -1))]) for _ in range(count)]


def test_gates_random_circuits():
    rng = random.Random(2)
    for _ in range(300):
        kernel, twin = Encoder(), Bitblaster()
        kernel.variables(np.array([15], np.int64))
        twin.variable_word(15)
        for _ in range(30):
            a, b, c = random_literals(rng, 3)
            gate = rng.choice(["and2", "or2", "xor2", "xor3", "one_of", "adder", "clamp", "any_of", "all_of", "require_any", "forbid"])
            if gate in ("and2", "or2", "xor2"):
                assert getattr(kernel.gates, gate)(a, b) == getattr(twin, gate)(a, b)
            elif gate in ("xor3", "one_of"):
                assert getattr(kernel.gates, gate)(a, b, c) == getattr(twin, gate)(a, b, c)
            elif gate == "forbid":
                kernel.gates.forbid(a, b)
                twin.forbid(a, b)
            elif gate == "adder":
                assert kernel.gates.adder(a, b, c) == twin.full_adder(a, b, c)
            elif gate == "clamp":
                top = rng.random() < 0.5
                assert kernel.gates.clamp(a, b, c, top) == twin.clamp(a, b, c, top)
            else:
                lits = random_literals(rng, rng.randrange(5))
                assert getattr(kernel.gates, gate)(lits) == getattr(twin, gate)(lits)
        assert np.asarray(kernel.clauses).tolist() == twin.data
        assert (kernel.clauses.num_vars, kernel.clauses.num_clauses) == (twin.num_vars, twin.num_clauses)


@pytest.mark.parametrize("balanced", [True, False])
def test_neurons_random(balanced):
    rng = random.Random(3)
    for _ in range(400):
        spans, weights, base, requantizer = random_neuron(rng)
        kernel, twin = Encoder(), Bitblaster()
        source = kernel.variables(np.array(spans, np.int64))
        words = [twin.variable_word(span) for span in spans]
        target = Words(2)
        for i in range(2):  # the second neuron shares gates with the first
            indices = np.arange(i, len(spans), dtype=np.int32)
            span = kernel.dot(source, indices, np.array(weights[i:], np.int64), balanced)
            acc = twin.dot(words, indices.tolist(), weights[i:], balanced)
            assert span == acc[1]
            arguments = requantize_arguments(requantizer, base, base + span)
            rounding = ROUNDINGS.index(arguments[2])
            kernel.requantize(target, i, *arguments[:2], rounding, *arguments[3:])
            bits, levels = twin.requantize(acc, *arguments)
            assert (target.bits(i), target.span(i)) == (bits, levels)
            bound = rng.randint(-2, span + 2)
            assert kernel.at_least(bound) == twin.at_least(acc[0], bound)
        assert np.asarray(kernel.clauses).tolist() == twin.data
        assert (kernel.clauses.num_vars, kernel.clauses.num_clauses) == (twin.num_vars, twin.num_clauses)


def test_differences_and_budgets_random():
    rng = random.Random(7)
    for _ in range(300):
        spans = [rng.choice([0, 1, 2, 3, 4, 5, 7, 16, 255]) for _ in range(rng.randint(1, 6))]
        kernel, twin = Encoder(), Bitblaster()
        source = kernel.variables(np.array(spans, np.int64))
        words = [twin.variable_word(span) for span in spans]
        target, differences = Words(len(spans)), []
        for i in range(len(spans)):
            factors, constant, span = (rng.randint(0, 70), 1 << rng.randint(0, 5)), rng.randint(-99, 99), rng.randint(0, 500)
            kernel.difference(target, i, source, i, factors[0], source, i, factors[1], constant, span)
            differences.append(twin.difference(words[i], factors[0], words[i], factors[1], constant, span))
            assert (target.bits(i), target.span(i)) == differences[i]
        weights = [rng.choice([-1, 1]) * rng.randint(1, 1 << rng.randint(1, 10)) for _ in spans]
        budget, condition = rng.randint(0, 1 << rng.randint(1, 14)), rng.choice([TRUE, FALSE, 1, -1])
        kernel.at_most(target, np.array(weights, np.int64), budget, condition)
        twin.at_most(differences, weights, budget, condition)
        assert np.asarray(kernel.clauses).tolist() == twin.data
        assert (kernel.clauses.num_vars, kernel.clauses.num_clauses) == (twin.num_vars, twin.num_clauses)
