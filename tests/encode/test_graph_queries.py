"""Queries of graphs with requantizers of every kind: CNF and SMT-LIB against enumeration, and the twin's clauses byte for byte."""

import random
from dataclasses import replace

import bitwuzla
import numpy as np
import pytest
from clauses import clauses_of
from graphs import KINDS, graph_box, graph_query, random_graph
from test_cnf import count_solutions, count_violating, twin_encode
from tiny import all_values, truths

from qbitsat.arithmetic import TableRequantizer
from qbitsat.bounds import linear_cut, propagate
from qbitsat.bounds.view import views
from qbitsat.encode import encode_query, encode_smtlib
from qbitsat.network import Dense, Network, TensorFormat, forward_all
from qbitsat.options import ENCODINGS, SOLVERS, make_options
from qbitsat.properties import And, AtMost, Box, Query, Ref, replay
from qbitsat.properties.formula import without_not
from qbitsat.solvers import sat


@pytest.fixture(autouse=True)
def graphs(monkeypatch):
    monkeypatch.setattr(Network, "is_chain", True)
    # Small queries have few cuts that are near enough to be kept.
    monkeypatch.setattr(linear_cut, "NEAR", 1)


def query_of(seed, kinds=KINDS):
    return graph_query(random.Random(seed), kinds, 3)


def is_violated(query) -> bool:
    return bool(truths(query.violation, *all_values(query.networks, query.boxes)).any())


@pytest.mark.parametrize("seed", range(90))
def test_cnf_against_enumeration_and_twin(seed):
    query = query_of(seed, (KINDS[seed % len(KINDS)],) if seed % 2 else KINDS)
    bounds, violated = propagate(query), is_violated(query)
    for encoding in ENCODINGS:
        cnf = encode_query(query, bounds, make_options(encoding=encoding))
        result = sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, SOLVERS[seed % len(SOLVERS)], None)
        assert result.satisfiable == violated, encoding
        if violated:
            witness = replay(query, cnf.decode(result.assignment))
            assert witness is not None
            for k, words in enumerate(cnf.outputs):
                assert all(word is None or word.value(result.assignment) == witness.outputs[k][i] for i, word in enumerate(words))
        twin, core = twin_encode(query, bounds, without_not(query.violation), encoding)
        assert np.asarray(cnf.clauses).tolist() == twin.data
        assert (cnf.num_vars, cnf.num_clauses, cnf.core) == (twin.num_vars, twin.num_clauses, core)


@pytest.mark.parametrize("seed", range(30))
def test_accumulators_held_inside_narrower_ranges(seed):
    """What is left are the points whose accumulators are inside."""
    rng, query = random.Random(seed), query_of(seed)
    bounds = propagate(query)
    inputs, outputs = all_values(query.networks, query.boxes)
    holds, enforced = truths(query.violation, inputs, outputs), []
    for view, x in zip(views(query, bounds), inputs, strict=True):
        values = forward_all(view.network, x)
        rows = [view.network.row(k, i) for k, layer in enumerate(view.network.layers) for i in range(layer.affine.n_out)]
        accs = np.stack([values[:, v] @ w + bias for v, w, bias in rows], axis=1)
        kept = np.array([rng.random() < 0.3 for _ in rows])
        point = accs[rng.randrange(len(accs))]
        enforced.append((np.where(kept, point - rng.randint(0, 3), view.acc_lo), np.where(kept, point + rng.randint(0, 3), view.acc_hi)))
        enforced[-1] = np.maximum(enforced[-1][0], view.acc_lo), np.minimum(enforced[-1][1], view.acc_hi)
        holds &= ((accs >= enforced[-1][0]) & (accs <= enforced[-1][1])).all(axis=1)
    cnf = encode_query(query, bounds, make_options(), None, enforced=enforced)
    assert sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, "cadical195", None).satisfiable == holds.any()
    twin, _ = twin_encode(query, bounds, without_not(query.violation), "narrowed", enforced, implied=False)
    assert np.asarray(cnf.clauses).tolist() == twin.data


@pytest.mark.parametrize("seed", range(40))
def test_number_of_solutions(seed):
    """One assignment for each violating input of the cone."""
    query = query_of(seed)
    bounds = propagate(query)
    formula = linear_cut.Substitution(query, views(query, bounds)).simplify(without_not(query.violation))
    cnf = encode_query(query, bounds, make_options(encoding=ENCODINGS[seed % len(ENCODINGS)]), formula)
    assert count_solutions(clauses_of(cnf.clauses), cnf.num_vars) == count_violating(query, bounds, formula)


@pytest.mark.parametrize("seed", range(60))
def test_smtlib_against_enumeration(seed):
    query = query_of(seed, (KINDS[seed % len(KINDS)],) if seed % 2 else KINDS)
    script = encode_smtlib(query, propagate(query), make_options(encoding=ENCODINGS[seed % len(ENCODINGS)]))
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(script.body, True, False)
    solver = parser.bitwuzla()
    satisfiable = solver.check_sat() == bitwuzla.Result.SAT
    assert satisfiable == is_violated(query)
    if satisfiable:
        values = {term.symbol(): int(solver.get_value(term).value(10)) for term in parser.get_declared_funs()}
        assert replay(query, script.decode(values)) is not None


@pytest.mark.parametrize("kind", ["table", "half_up", "double", "shift"])
def test_same_rows_over_the_same_words_are_built_once(kind):
    """A network that computes everything twice takes no more variables."""
    for seed in range(10):
        network = random_graph(random.Random(seed), (kind,))
        first, n = network.num_inputs, network.num_values - network.num_inputs
        again = [np.where(reads < first, reads, reads + n) for reads in network.reads]
        copied = np.where(network.outputs < first, network.outputs, network.outputs + n)
        outputs = np.append(network.outputs, copied)
        twice = replace(network, layers=network.layers * 2, reads=(*network.reads, *again), outputs=outputs)
        box = graph_box(random.Random(seed), network)
        sizes = []
        for net, elements in ((network, (0, 0)), (twice, (0, len(copied)))):
            query = Query((net,), (box,), And(tuple(AtMost(((1, Ref(0, "output", e)),), net.output.lo) for e in elements)))
            cnf = encode_query(query, propagate(query), make_options(encoding="balanced"))
            sizes.append(cnf.num_vars)
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("cut", "satisfiable"), [((6, 35), True), ((8, 35), False), ((-28, -1), False)])
def test_cuts_beyond_an_accumulator_that_reads_a_value_twice(cut, satisfiable):
    """5 x - 4 x is x, at most 7, but from -28 to 35 cell by cell: such cuts leave nothing of it."""
    table = TableRequantizer(-28, tuple(range(-28, 36)))
    layer = Dense("twice", TensorFormat((2,), 0, 7), TensorFormat((1,), -28, 35), (table,), [[5, -4]], [0])
    network = Network((layer,), inputs=(TensorFormat((1,), 0, 7),), reads=([0, 0],))
    query = Query((network,), (Box([0], [7]),), AtMost(((-1, Ref(0, "output", 0)),), 0))
    enforced = [tuple(np.array([end]) for end in cut)]
    cnf = encode_query(query, propagate(query), make_options(), None, enforced=enforced, implied=True)
    assert sat.run_solver(np.asarray(cnf.clauses), cnf.num_vars, "cadical195", None).satisfiable == satisfiable
