"""Whole queries as CNF: the twin's clauses, the variable map, model counts, determinism."""

import io
import itertools
import random

import numpy as np
import pytest
from clauses import clauses_of
from neurons import requantize_arguments
from pysat.solvers import Solver
from tiny import gentle_query, points_of, random_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import linear_cut, propagate, simplify
from qbitsat.bounds.linear_cut import Substitution
from qbitsat.bounds.probing import narrow
from qbitsat.bounds.view import views
from qbitsat.certificate.bitblast import TRUE as TRUE_LIT
from qbitsat.certificate.bitblast import Bitblaster
from qbitsat.certificate.cnf import QueryEncoder
from qbitsat.certificate.formula import plain, simplified
from qbitsat.certificate.layout import Layout
from qbitsat.encode import dimacs, encode_disjuncts, encode_query
from qbitsat.encode.requantizers import Line, Neuron, circuit
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, forward
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, replay
from qbitsat.properties.formula import FALSE, OUTPUT, TRUE, atoms, is_true, without_not
from qbitsat.verify import HOLDS, UNKNOWN, verify


def needed(query, bounds, formula, enforced=None):
    """For each network the set of needed values, by plain reachability."""
    refs = [ref for atom in atoms(formula) for ref in atom.coefficients()]
    sets = []
    for k, view in enumerate(views(query, bounds)):
        network, wanted = view.network, {view.value(ref) for ref in refs if ref.network == k}
        wanted = {v for v in wanted if view.lo[v] < view.hi[v]}
        for number in reversed(range(len(network.layers))):
            for i in range(network.layers[number].affine.n_out):
                n, v = view.neurons(number).start + i, network.first_value(number) + i
                if enforced and (enforced[k][0][n] > view.acc_lo[n] or enforced[k][1][n] < view.acc_hi[n]):
                    wanted.add(v)
                if v in wanted:
                    wanted |= {j for j in network.row(number, i)[0].tolist() if view.lo[j] < view.hi[j]}
        sets.append(wanted)
    return sets


def twin_requantize(twin, acc, neuron, image):
    """As the encoder chooses; `neuron` has the ends of accumulators that are looked at."""
    if isinstance(neuron.requantizer, ShiftRequantizer):
        top = neuron.base + acc[1]
        return twin.requantize(acc, *requantize_arguments(neuron.requantizer, neuron.base, top, image, (neuron.least, neuron.most)))
    found = circuit(neuron, "here")
    if isinstance(found, Line):
        return twin.line(acc, *found[:3], image[1] - image[0], *found[3:])
    return twin.steps(acc, found.starts.tolist(), found.levels.tolist(), image[1] - image[0])


def twin_encode(query, bounds, formula, encoding, enforced=None, implied=True):
    """The clauses of a query from the plain Python twin, and how many of them are no redundant cuts; `enforced` as for a disjunct."""
    twin, words, layers, atom_lits = Bitblaster(), [], {}, {}
    seen = views(query, bounds)
    balanced, tied = encoding != "linear", Substitution(query, seen)
    if encoding == "substituted":
        formula = tied.simplify(formula)
    for k, (view, wanted) in enumerate(zip(seen, needed(query, bounds, formula, enforced), strict=True)):
        network, inputs = view.network, range(view.network.num_inputs)
        own = [twin.variable_word(int(view.hi[v] - view.lo[v]) if v in wanted else 0) for v in inputs]
        own += [([], 0)] * (network.num_values - network.num_inputs)
        words.append(own)
        for number in range(len(network.layers)):
            for v in sorted(wanted & set(range(network.num_values)[network.target(number)])):
                i, n = v - network.first_value(number), v - network.num_inputs
                values, weights, bias = network.row(number, i)
                acc = twin.dot(own, values.tolist(), weights.tolist(), balanced)
                base = bias + sum(int(w * (view.lo if w > 0 else view.hi)[j]) for j, w in zip(values, weights, strict=True))
                least, most = (base, base + acc[1]) if enforced is None else (int(end[n]) for end in enforced[k])
                if least > view.acc_lo[n]:
                    twin.require_any([twin.at_least(acc[0], least - base)])
                if most < view.acc_hi[n]:
                    twin.require_any([-twin.at_least(acc[0], most - base + 1)])
                lo, hi = int(view.lo[v]), int(view.hi[v])
                ends = (max(base, least), min(base + acc[1], most)) if implied else (base, base + acc[1])
                neuron = Neuron(network.layers[number].requantizer(i), base, *ends, lo, hi)
                if lo < hi:
                    own[v] = twin_requantize(twin, acc, neuron, (lo, hi))
                layers[k, number, i] = acc, own[v]

    def literal(node):
        if isinstance(node, AtMost):
            terms = node.coefficients()
            smallest = sum(c * seen[ref.network].of(ref)[c < 0] for ref, c in terms.items())
            row = [words[ref.network][seen[ref.network].value(ref)] for ref in terms]
            total, _ = twin.dot(row, range(len(row)), list(terms.values()), balanced)
            atom_lits[node] = -twin.at_least(total, node.bound - smallest + 1)
            return atom_lits[node]
        lits = [literal(part) for part in node.parts]
        return twin.all_of(lits) if isinstance(node, And) else twin.any_of(lits)

    def require(node):
        if isinstance(node, And):
            for part in node.parts:
                require(part)
        else:
            twin.require_any([literal(part) for part in node.parts] if isinstance(node, Or) else [literal(node)])

    require(formula)
    core = len(twin.data)
    open_atoms = [node for node, lit in atom_lits.items() if abs(lit) != TRUE_LIT]
    for node, cut in tied.near_cuts(open_atoms) if encoding == "substituted" else ():
        terms = [twin_term(twin, what, words, layers) for _, what in cut.terms]
        twin.at_most(terms, [weight for weight, _ in cut.terms], cut.budget, atom_lits[node])
    return twin, core


def twin_term(twin, what, words, layers):
    """The word of an input or a slack."""
    if isinstance(what, Ref):
        return words[what.network][what.element]
    acc, y = layers[what.network, what.layer, what.neuron]
    pair = ((acc, what.slope), (y, 1 << what.scale))[:: what.sign]
    return twin.difference(*pair[0], *pair[1], what.constant, what.span)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_queries_equal_the_twin_byte_for_byte(encoding, monkeypatch):
    monkeypatch.setattr(linear_cut, "NEAR", 1)
    for seed in range(200):
        query = (gentle_query if seed % 4 == 3 else random_query)(random.Random(seed))
        bounds = propagate(query)
        formula = simplify(query, bounds) if seed % 2 else without_not(query.violation)
        cnf = encode_query(query, bounds, make_options(encoding=encoding), formula)
        twin, core = twin_encode(query, bounds, formula, encoding)
        if encoding != "substituted":
            layout = Layout(query)
            ranges, again = layout.whole, plain(query.violation, layout)
            encoder = QueryEncoder(
                layout, ranges, simplified(again, layout, ranges) if seed % 2 else again, encoding == "balanced", lambda: None
            )
            assert encoder.blaster.data == twin.data
        assert np.asarray(cnf.clauses).tolist() == twin.data
        assert (cnf.num_vars, cnf.num_clauses, cnf.core) == (twin.num_vars, twin.num_clauses, core)


def test_disjuncts_equal_the_twin_byte_for_byte():
    disjuncts = cut = 0
    for seed in range(200):
        query = (gentle_query if seed % 4 == 3 else random_query)(random.Random(seed))
        bounds, options = propagate(query), make_options()
        formula = simplify(query, bounds) if seed % 2 else without_not(query.violation)
        narrowed, encoding = narrow(query, bounds, formula, options), encode_disjuncts(query, bounds, options, formula)
        for disjunct, cnf in zip(narrowed or (), encoding.disjuncts or (), strict=True):
            twin, _ = twin_encode(query, disjunct.bounds, disjunct.formula, "narrowed", disjunct.enforced)
            assert np.asarray(cnf.clauses).tolist() == twin.data
            disjuncts += 1
            cut += any(
                (a[0] > v.acc_lo).any() or (a[1] < v.acc_hi).any()
                for a, v in zip(disjunct.enforced, views(query, disjunct.bounds), strict=True)
            )
    assert disjuncts > 30
    assert cut > 10


def test_number_of_solutions_is_the_number_of_violating_inputs(monkeypatch):
    """One assignment for each violating input of the cone: no clause is missing, and no variable is left loose."""
    monkeypatch.setattr(linear_cut, "NEAR", 1)
    for seed in range(80):
        query = random_query(random.Random(seed))
        bounds = propagate(query)
        formula = Substitution(query, views(query, bounds)).simplify(without_not(query.violation))
        cnf = encode_query(query, bounds, make_options(encoding=ENCODINGS[seed % 3]), formula)
        clauses = clauses_of(cnf.clauses)
        assert count_solutions(clauses, cnf.num_vars) == count_violating(query, bounds, formula), seed


def count_solutions(clauses, num_vars):
    """Assignments of all variables; those that no clause mentions count twice each."""
    if [] in clauses:
        return 0
    mentioned = {abs(lit) for clause in clauses for lit in clause}
    number = {v: n + 1 for n, v in enumerate(sorted(mentioned))}
    dense = [[number[lit] if lit > 0 else -number[-lit] for lit in clause] for clause in clauses]
    with Solver(name="glucose4", bootstrap_with=dense) as solver:
        return sum(1 for _ in solver.enum_models()) * 2 ** (num_vars - len(mentioned)) if dense else 2**num_vars


def count_violating(query, bounds, formula):
    """Violating inputs, with elements outside the formula's cone held at their lower bound."""
    tables = []
    for network, box, wanted in zip(query.networks, query.boxes, needed(query, bounds, formula), strict=True):
        held = np.array([j not in wanted for j in range(len(box.lo))])
        points = points_of(Box(box.lo, np.where(held, box.lo, box.hi)))
        tables.append(list(zip(points.tolist(), forward(network, points).tolist(), strict=True)))
    return sum(is_true(formula, *zip(*combination, strict=True)) for combination in itertools.product(*tables))


def test_same_query_same_bytes():
    query = random_query(random.Random(11))
    texts = []
    for _ in range(2):
        stream = io.BytesIO()
        dimacs.write(query, make_options(), stream)
        texts.append(stream.getvalue())
    assert texts[0] == texts[1]


def test_dimacs_answers_can_be_replayed():
    """Solve the file with nothing but its text, read the witness off its comments, and replay it."""
    replayed = 0
    for seed in range(60):
        query = random_query(random.Random(seed))
        stream = io.BytesIO()
        dimacs.write(query, make_options(), stream)
        text = stream.getvalue().decode()
        header, *body = text[text.index("p cnf") :].splitlines()
        num_vars, num_clauses = map(int, header.split()[2:])
        clauses = [[int(word) for word in line.split()[:-1]] for line in body]
        assert len(clauses) == num_clauses
        if [] in clauses:
            assert verify(query).verdict == HOLDS
            continue
        with Solver(name="cadical195", bootstrap_with=clauses) as solver:
            if not solver.solve():
                assert verify(query).verdict == HOLDS
                continue
            true = {str(lit) for lit in solver.get_model()} | {"T"}
        true |= {str(-v) for v in range(1, num_vars + 1) if str(v) not in true}
        read = {}
        for line in text.splitlines():
            if line.startswith(("c input ", "c output ")) and "K I" not in line:
                place, _, bits = line.partition(":")
                _, kind, k, i, _, lo = place.split()
                read[kind, int(k), int(i)] = int(lo) + sum((lit in true) << n for n, lit in enumerate(bits.split()))
        inputs = tuple(tuple(read["input", k, i] for i in range(n.input.size)) for k, n in enumerate(query.networks))
        witness = replay(query, inputs)
        assert witness is not None
        assert all(witness.outputs[k][i] == value for (kind, k, i), value in read.items() if kind == "output")
        replayed += 1
    assert replayed > 10


def test_limits_stop_the_encoding():
    query = next(q for q in map(random_query, map(random.Random, range(50))) if simplify(q, propagate(q)) not in (TRUE, FALSE))
    with pytest.raises(LimitReached):
        encode_query(query, propagate(query), make_options(), None, Limits(0))


def test_requantizers_of_unknown_kinds_are_never_taken_for_known_ones():
    class Doubling(ShiftRequantizer):
        def apply(self, acc):
            return super().apply(2 * acc)

    form = TensorFormat((1,), 0, 15)
    layer = Dense("double", form, form, (Doubling(0, "floor", 0, 15),), np.array([[1]]), np.array([0]))
    network = Network((layer,))
    asked = Query((network,), (Box(np.array([0]), np.array([6])),), AtMost(((-1, Ref(0, OUTPUT, 0)),), -9))
    for engine in ("sat", "hybrid"):
        verdict = verify(asked, engine=engine, attack=False, bounds=False)
        assert verdict.verdict == UNKNOWN
        assert "Doubling" in verdict.reason
    # Running needs to know no more than what it does.
    assert verify(asked, attack=False, bounds=False).witness.inputs == ((5,),)
