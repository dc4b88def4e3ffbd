"""Every gate against its truth table, and its propagation against every partial assignment."""

import itertools

import numpy as np
import pytest
from clauses import clauses_of
from pysat.solvers import Solver

from qbitsat._kernels.cnf.clauses import ClauseBuffer
from qbitsat.certificate.bitblast import FALSE, TRUE


def fresh_gates(count):
    """Gates over `count` variables that nothing constrains; variables come from words of one bit."""
    from qbitsat._kernels.cnf.layers import Encoder

    encoder = Encoder()
    encoder.variables(np.ones(count, np.int64))
    return encoder.gates


# name, number of inputs, gate, outputs as a function of the inputs, assumption on the inputs
GATES = [
    ("and2", 2, lambda g, a, b: [g.and2(a, b)], lambda a, b: [a & b], None),
    ("or2", 2, lambda g, a, b: [g.or2(a, b)], lambda a, b: [a | b], None),
    ("xor2", 2, lambda g, a, b: [g.xor2(a, b)], lambda a, b: [a ^ b], None),
    ("xor3", 3, lambda g, a, b, c: [g.xor3(a, b, c)], lambda a, b, c: [a ^ b ^ c], None),
    ("half_adder", 2, lambda g, a, b: [*g.adder(a, b, FALSE)], lambda a, b: [(a + b) & 1, (a + b) >> 1], None),
    ("half_adder_1", 2, lambda g, a, b: [*g.adder(a, b, TRUE)], lambda a, b: [(a + b + 1) & 1, (a + b + 1) >> 1], None),
    ("full_adder", 3, lambda g, a, b, c: [*g.adder(a, b, c)], lambda a, b, c: [(a + b + c) & 1, (a + b + c) >> 1], None),
    ("one_of", 3, lambda g, a, b, c: [g.one_of(a, b, c)], lambda a, b, c: [a + b + c], lambda a, b, c: a + b + c <= 1),
    ("one_of_2", 2, lambda g, a, b: [g.one_of(a, b, FALSE)], lambda a, b: [a + b], lambda a, b: a + b <= 1),
    ("any_of", 3, lambda g, *x: [g.any_of(x)], lambda *x: [max(x)], None),
    ("all_of", 3, lambda g, *x: [g.all_of(x)], lambda *x: [min(x)], None),
    ("clamp_1", 3, lambda g, t, p, v: [g.clamp(t, p, v, True)], lambda t, p, v: [v | (p & t)], lambda t, p, v: v <= p),
    ("clamp_0", 3, lambda g, t, p, v: [g.clamp(t, p, v, False)], lambda t, p, v: [p & (1 - v) & t], lambda t, p, v: v <= p),
]


@pytest.mark.parametrize(("name", "n", "gate", "meaning", "allowed"), GATES, ids=[g[0] for g in GATES])
def test_gate_truth_table_and_propagation(name, n, gate, meaning, allowed):
    gates = fresh_gates(n)
    outputs = gate(gates, *range(1, n + 1))
    clauses = clauses_of(gates.clauses)
    if name.startswith("clamp"):
        clauses.append([-3, 2])  # the fact that the caller states
    table = []
    for values in itertools.product((0, 1), repeat=n):
        if allowed is None or allowed(*values):
            row = {v + 1: bool(x) for v, x in enumerate(values)}
            for lit, value in zip(outputs, meaning(*values), strict=True):
                row[abs(lit)] = bool(value) == (lit > 0)
            table.append(row)
    variables = sorted(table[0])
    assert variables == list(range(1, gates.clauses.num_vars + 1))
    with Solver(name="glucose4", bootstrap_with=clauses) as solver:
        models = {tuple(sorted(m, key=abs)) for m in solver.enum_models()}
    assert models == {tuple(v if row[v] else -v for v in variables) for row in table}
    with Solver(name="glucose4", bootstrap_with=clauses) as solver:
        for signs in itertools.product((-1, 0, 1), repeat=len(variables)):
            assumed = [v * s for v, s in zip(variables, signs, strict=True) if s]
            left = [m for m in models if set(assumed) <= set(m)]
            consistent, implied = solver.propagate(assumed)
            assert consistent == bool(left), assumed
            if left:
                assert set.intersection(*(set(m) for m in left)) == set(implied) | set(assumed), assumed


@pytest.mark.parametrize("literals", list(itertools.product((1, -1, 2, -2, TRUE, FALSE), repeat=3)))
def test_gates_folding_keeps_the_meaning(literals):
    for name, n, gate, meaning, allowed in GATES:
        if name in ("half_adder", "half_adder_1", "one_of_2"):
            continue
        gates = fresh_gates(2)
        outputs = gate(gates, *literals[:n])
        clauses = clauses_of(gates.clauses)
        assert not any(abs(lit) == TRUE for clause in clauses for lit in clause)
        with Solver(name="glucose4", bootstrap_with=clauses) as solver:
            for x in itertools.product((1, -1), repeat=2):
                assumed = [s * v for s, v in zip(x, (1, 2), strict=True)]
                values = [int(lit == TRUE or lit in assumed) for lit in literals[:n]]
                if allowed is not None and not allowed(*values):
                    continue
                assert solver.solve(assumptions=assumed)
                true = {*solver.get_model(), *assumed, TRUE}
                assert [int(lit in true) for lit in outputs] == meaning(*values), (name, literals, x)


def test_gates_are_shared():
    gates = fresh_gates(3)
    assert gates.and2(1, 2) == gates.and2(2, 1)
    assert gates.xor2(1, -2) == -gates.xor2(2, 1)
    assert gates.adder(-1, -2, -3) == tuple(-lit for lit in gates.adder(3, 1, 2))
    assert gates.clauses.num_clauses == 3 + 4 + 14
    gates.forget()
    gates.and2(1, 2)
    assert gates.clauses.num_clauses == 3 + 4 + 14 + 3


def test_clause_buffer_cannot_grow_while_exported():
    gates = fresh_gates(2)
    gates.and2(1, 2)
    view = memoryview(gates.clauses)
    while len(gates.clauses) % 1024:  # the first block holds 1024 entries
        gates.require_any([])
    with pytest.raises(BufferError, match="exported"):
        gates.require_any([1, 2])
    view.release()
    gates.require_any([1, 2])


def test_clause_buffer_is_read_only():
    buffer = ClauseBuffer()
    assert len(buffer) == 0
    assert not np.asarray(buffer).flags.writeable


def test_clause_buffer_dimacs_is_its_python_equivalent():
    gates = fresh_gates(40)
    for a in range(1, 40):
        gates.xor3(a, -(a % 7 + 1), a // 2 + 1)
    gates.require_any([])
    entries = np.asarray(gates.clauses).tolist()
    expected = "".join("0\n" if lit == 0 else f"{lit} " for lit in entries[3:-2])
    assert gates.clauses.dimacs(3, len(entries) - 2) == expected.encode()
    with pytest.raises(IndexError, match="entries"):
        gates.clauses.dimacs(0, len(entries) + 1)
