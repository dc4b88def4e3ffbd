"""Queries as question files: what is read again asks the same."""

import random
from dataclasses import replace

import numpy as np
import pytest
from handmade import copying, whole_box
from inner import inner_query
from maximized import maximum_of
from questions import question_of
from tiny import random_network, random_query

from qbitsat.bounds import propagate
from qbitsat.encode import encode_query
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Not, Or, Query, Ref, agreement, robustness
from qbitsat.properties.question_file import NetworkFile, Objective, load_question, question_text


def files(query: Query) -> list[NetworkFile]:
    networks = [part for network in query.networks for part in (network.parts or (network,))]
    return [NetworkFile(f"net{k}", f"net{k}.npz") for k in range(len(networks))]


def read_again(query: Query, tmp_path, **how):
    path, networks = tmp_path / "question.toml", [part for network in query.networks for part in (network.parts or (network,))]
    path.write_text(question_text(query, files(query), **how))
    return load_question(path, {f"net{k}": network for k, network in enumerate(networks)})


def clauses(query: Query) -> bytes:
    """Of the whole query in CNF, with what propagation says of it."""
    return np.asarray(encode_query(query, propagate(query), make_options(encoding="balanced")).clauses).tobytes()


def same(a: Query, b: Query) -> None:
    assert [network.sha256 for network in a.networks] == [network.sha256 for network in b.networks]
    for one, other in zip(a.boxes, b.boxes, strict=True):
        assert (one.lo.tolist(), one.hi.tolist()) == (other.lo.tolist(), other.hi.tolist())
    assert clauses(a) == clauses(b)


def plain(query: Query) -> Query:
    """The same formula as the file has it: zero terms dropped, equal ones added up, and nothing joined of one part."""

    def of(formula):
        if isinstance(formula, AtMost):
            terms = tuple((c, ref) for ref, c in formula.coefficients().items())
            return AtMost(terms, formula.bound) if terms else And(()) if formula.bound >= 0 else Or(())
        if isinstance(formula, Not):
            return Not(of(formula.part))
        parts = tuple(map(of, formula.parts))
        return parts[0] if len(parts) == 1 else type(formula)(parts)

    return replace(query, violation=of(query.violation))


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_formulas_are_read_again(first, tmp_path):
    for seed in range(first, first + 50):
        rng = random.Random(seed)
        query = plain(random_query(rng) if seed % 2 else inner_query(rng)[0])
        same(query, read_again(query, tmp_path, title=f'"{seed}"\n').query)


def test_questions_by_name_are_read_again(tmp_path):
    rng = random.Random(1)
    for _ in range(30):
        network = random_network(rng)
        while network.output.size < 2:
            network = random_network(rng)
        x = [rng.randint(network.input.lo, network.input.hi) for _ in range(network.input.size)]
        for more in ({}, {"target": 0}, {"ties": "kept"}, {"region": "0:1=2"}):
            query = robustness(network, x, 1, 1, **more)
            same(replace(query), read_again(query, tmp_path).query)
        other = random_network(rng, network.input)
        if other.output.size == network.output.size:
            query = agreement(network, other, x, 1, rng.choice([None, 1]))
            same(query, read_again(query, tmp_path).query)


def test_objectives_are_read_again(tmp_path):
    for seed in range(60):
        query, terms, _ = maximum_of(random.Random(seed))
        terms = tuple((c, ref) for ref, c in AtMost(tuple(terms), 0).coefficients().items())
        wanted = Objective("", (1, -1)[seed % 2], terms, seed - 30)
        found = read_again(plain(query), tmp_path, objectives=[wanted])
        (objective,) = found.objectives
        whole, again = (
            replace(q, violation=And((q.violation, AtMost(one.goal, 0)))) for q, one in ((query, wanted), (found.query, objective))
        )
        assert (objective.sign, objective.constant) == (wanted.sign, wanted.constant)
        same(plain(whole), again)


def test_read_questions_are_written(tmp_path):
    for seed in range(60):
        query = question_of(random.Random(seed), tmp_path)[1].query
        same(query, read_again(query, tmp_path).query)


def test_what_can_not_be_written():
    network = copying(2)
    query = Query((network,), (whole_box(network),), AtMost(((1, Ref(0, "output", 0)),), 3))
    with pytest.raises(InputError, match="from no file"):
        question_text(query)
    deep = query.violation
    for _ in range(70):
        deep = Not(deep)
    with pytest.raises(UnsupportedError, match="deeper than 60"):
        question_text(replace(query, violation=deep), files(query))
    with pytest.raises(InputError, match="UTF-8"):
        question_text(query, [NetworkFile("net", "\udcff.npz")])
    with pytest.raises(InputError, match="2 files, expected one for each of 1 networks"):
        question_text(query, files(query) * 2)


def test_widths_of_a_file_are_written():
    network = copying(2)
    text = question_text(Query((network,), (whole_box(network),), And(())), [NetworkFile("net", 'a "b".h5', 6, 8, None)])
    assert 'net = {file = "a \\"b\\".h5", bits = 6, input_bits = 8}' in text
