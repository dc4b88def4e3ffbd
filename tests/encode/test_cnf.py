"""Whole queries as CNF: the twin's clauses, the variable map, model counts, determinism."""

import io
import itertools
import random

import numpy as np
import pytest
from pysat.solvers import Solver
from test_gates import clauses_of
from test_twin import requantize_arguments
from tiny import gentle_query, points_of, random_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.bounds import collect, propagate, simplify
from qbitsat.certificate.cnf import Walk
from qbitsat.certificate.formula import plain, simplified
from qbitsat.certificate.space import Space
from qbitsat.certificate.twin import TRUE as TRUE_LIT
from qbitsat.certificate.twin import TwinEncoder
from qbitsat.encode import dimacs, encode_query, encode_ways, substitution
from qbitsat.encode.narrowing import narrow
from qbitsat.encode.substitution import Substitution
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Dense, Network, TensorFormat, forward
from qbitsat.options import ENCODINGS, make_options
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, replay
from qbitsat.properties.formula import FALSE, INPUT, OUTPUT, TRUE, atoms, is_true, without_not
from qbitsat.verify import HOLDS, UNKNOWN, verify


def needed(query, bounds, formula, within=None):
    """For each network, a set of needed elements for the input and every layer, by plain reachability."""
    refs = [ref for atom in atoms(formula) for ref in collect(atom)]
    masks = []
    for k, (network, network_bounds) in enumerate(zip(query.networks, bounds.networks, strict=True)):
        wanted = {r.element for r in refs if (r.network, r.tensor) == (k, OUTPUT)}
        chain = []
        cuts = within[k] if within else [None] * len(network.layers)
        for layer, b, cut in zip(reversed(network.layers), reversed(network_bounds.layers), reversed(cuts), strict=True):
            wanted = {i for i in wanted if b.lo[i] < b.hi[i] or (cut and (b.acc_lo[i] < cut.acc_lo[i] or cut.acc_hi[i] < b.acc_hi[i]))}
            chain.insert(0, wanted)
            wanted = {int(j) for i in wanted for j in layer.affine.row(i)[0]}
        masks.append([wanted | {r.element for r in refs if (r.network, r.tensor) == (k, INPUT)}, *chain])
    return masks


def twin_encode(query, bounds, formula, encoding, within=None):
    """The clauses of a query from the plain Python twin, and how many of them are no redundant facts; `within` as for a narrowed way."""
    twin, words, layers, atom_lits = TwinEncoder(), {}, {}, {}
    balanced, tied = encoding != "linear", Substitution(query, bounds)
    if encoding == "substituted":
        formula = tied.simplify(formula)
    for k, (network, network_bounds) in enumerate(zip(query.networks, bounds.networks, strict=True)):
        masks = needed(query, bounds, formula, within)[k]
        spans = (network_bounds.input.hi - network_bounds.input.lo).tolist()
        source = [twin.variable_word(span if j in masks[0] else 0) for j, span in enumerate(spans)]
        words[k, INPUT] = source
        for number, (layer, b, mask) in enumerate(zip(network.layers, network_bounds.layers, masks[1:], strict=True)):
            cut = (within and within[k][number]) or b
            target = [([], 0) for _ in b.lo]
            for i in sorted(mask):
                acc = twin.dot(source, *(a.tolist() for a in layer.affine.row(i)), balanced)
                acc_lo, acc_hi, least, most = (int(a[i]) for a in (b.acc_lo, b.acc_hi, cut.acc_lo, cut.acc_hi))
                if least > acc_lo:
                    twin.require_any([twin.at_least(acc[0], least - acc_lo)])
                if most < acc_hi:
                    twin.require_any([-twin.at_least(acc[0], most - acc_lo + 1)])
                image = int(b.lo[i]), int(b.hi[i])
                arguments = requantize_arguments(layer.requantizer(i), acc_lo, acc_hi, image, (least, most))
                target[i] = twin.requantize(acc, *arguments)
                layers[k, number, i] = acc, target[i]
            source = target
        words[k, OUTPUT] = source

    def literal(node):
        if isinstance(node, AtMost):
            terms = collect(node)
            smallest = sum(c * bounds.of(ref)[c < 0] for ref, c in terms.items())
            row = [words[ref.network, ref.tensor][ref.element] for ref in terms]
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
    for node, fact in tied.near_facts(open_atoms) if encoding == "substituted" else ():
        terms = [twin_term(twin, what, words, layers) for _, what in fact.terms]
        twin.at_most(terms, [weight for weight, _ in fact.terms], fact.budget, atom_lits[node])
    return twin, core


def twin_term(twin, what, words, layers):
    """The word of an input or a slack."""
    if isinstance(what, Ref):
        return words[what.network, INPUT][what.element]
    acc, y = layers[what.network, what.layer, what.neuron]
    pair = ((acc, what.slope), (y, 1 << what.scale))[:: what.sign]
    return twin.difference(*pair[0], *pair[1], what.constant, what.span)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_queries_equal_the_twin_byte_for_byte(encoding, monkeypatch):
    monkeypatch.setattr(substitution, "NEAR", 1)
    for seed in range(200):
        query = (gentle_query if seed % 4 == 3 else random_query)(random.Random(seed))
        bounds = propagate(query)
        formula = simplify(query, bounds) if seed % 2 else without_not(query.violation)
        cnf = encode_query(query, bounds, make_options(encoding=encoding), formula)
        twin, core = twin_encode(query, bounds, formula, encoding)
        if encoding != "substituted":
            space = Space(query)
            ranges, again = space.whole(), plain(query.violation, space)
            walk = Walk(space, ranges, simplified(again, space, ranges) if seed % 2 else again, encoding == "balanced", lambda: None)
            assert walk.twin.data == twin.data
        assert np.asarray(cnf.clauses).tolist() == twin.data
        assert (cnf.num_vars, cnf.num_clauses, cnf.core) == (twin.num_vars, twin.num_clauses, core)


def test_ways_equal_the_twin_byte_for_byte():
    ways = cut = 0
    for seed in range(200):
        query = (gentle_query if seed % 4 == 3 else random_query)(random.Random(seed))
        bounds, options = propagate(query), make_options()
        formula = simplify(query, bounds) if seed % 2 else without_not(query.violation)
        narrowed, encoding = narrow(query, bounds, formula, options), encode_ways(query, bounds, options, formula)
        for way, cnf in zip(narrowed or (), encoding.ways or (), strict=True):
            twin, _ = twin_encode(query, way.bounds, way.formula, "narrowed", way.within)
            assert np.asarray(cnf.clauses).tolist() == twin.data
            ways, cut = ways + 1, cut + any(own is not None for cuts in way.within for own in cuts)
    assert ways > 30
    assert cut > 10


def test_number_of_solutions_is_the_number_of_violating_inputs(monkeypatch):
    """One assignment for each violating input of the cone: no clause is missing, and no variable is left loose."""
    monkeypatch.setattr(substitution, "NEAR", 1)
    for seed in range(80):
        query = random_query(random.Random(seed))
        bounds = propagate(query)
        formula = Substitution(query, bounds).simplify(without_not(query.violation))
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
    for network, box, masks in zip(query.networks, query.boxes, needed(query, bounds, formula), strict=True):
        held = np.array([j not in masks[0] for j in range(len(box.lo))])
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
