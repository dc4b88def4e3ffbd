"""Proofs that refute what is satisfiable: none is accepted."""

import random

import numpy as np
import pytest

import qbitsat
from qbitsat.bounds import propagate, simplify
from qbitsat.certificate.drat import check_drat
from qbitsat.certificate.reading import Refused
from qbitsat.certificate.write import Source, write
from qbitsat.cli.main import main
from qbitsat.encode import encode_query
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.options import make_options
from qbitsat.search.proof import Sat
from qbitsat.solvers.sat import DratFile, binary_drat
from qbitsat.verify import HOLDS, VIOLATED, Verdict, verify


def rat_meets_deletion(a: int, b: int) -> str:
    """Steps that checkers of RAT accepted of any CNF: the literal -a stays true although its reason is gone."""
    return f"{-a} 0\n{b} {a} 0\nd {a} {b} 0\n{-b} {a} 0\n{a} 0\n0\n"


def forged_drat(text: str) -> DratFile:
    """An open file as a solver would have left it."""
    file = DratFile(1 << 20)
    file.write(binary_drat(text.encode()))
    return file


def test_forged_verdict_of_the_example(tmp_path, capsys):
    """A HOLDS for a violated query, with a proof of 28 bytes."""
    network = qbitsat.load(network_path())
    x, label = np.load(images_path())[1].reshape(-1), int(np.load(labels_path())[1])
    query = qbitsat.robustness(network, x, 3, label)
    assert verify(query).verdict == VIOLATED
    options = make_options(certificates=True, engine="sat", encoding="balanced")
    bounds = propagate(query)
    cnf = encode_query(query, bounds, options, simplify(query, bounds), lambda *_: None)
    for a, b in ((cnf.num_vars + 1, cnf.num_vars + 2), (cnf.num_vars - 1, cnf.num_vars), (1, 2)):
        proof = Sat(cnf.sha256, forged_drat(rat_meets_deletion(a, b)))
        path = tmp_path / "forged.cert"
        write(path, query, Verdict(HOLDS, engine="sat", proof=proof), vars(options), [Source(str(network_path()))])
        assert main(["check", str(path)]) == 20
        assert "refused" in capsys.readouterr().out


def random_formula(rng: random.Random, num_vars: int) -> tuple[list[list[int]], set[int]]:
    """A satisfiable CNF, and the literals of an assignment of it."""
    holds = {v if rng.random() < 0.5 else -v for v in range(1, num_vars + 1)}
    clauses = []
    for _ in range(rng.randint(1, 4 * num_vars)):
        clause = [v * rng.choice((-1, 1)) for v in rng.sample(range(1, num_vars + 1), rng.randint(1, min(3, num_vars)))]
        clauses.append(clause if holds & set(clause) else [-clause[0], *clause[1:]])
    return clauses, holds


def random_proof(rng: random.Random, num_vars: int, clauses: list[list[int]]) -> str:
    """Steps of all shapes, those with RAT and deletions of reasons above all; then the empty clause."""
    known, text = [list(c) for c in clauses], ""
    for _ in range(rng.randint(0, 8)):
        if rng.random() < 0.2:
            text += rat_meets_deletion(*(v * rng.choice((-1, 1)) for v in rng.sample(range(1, num_vars + 3), 2)))[:-2]
        elif rng.random() < 0.4:
            text += f"d {' '.join(map(str, rng.choice(known)))} 0\n"
        else:
            known.append([v * rng.choice((-1, 1)) for v in rng.sample(range(1, num_vars + rng.randint(0, 1) + 1), rng.randint(1, 2))])
            text += f"{' '.join(map(str, known[-1]))} 0\n"
    return text + "0\n"


@pytest.mark.parametrize("seed", range(4))
def test_random_proofs_of_satisfiable_formulas(seed):
    rng = random.Random(seed)
    for _ in range(1000):
        num_vars = rng.randint(2, 5)
        clauses, _ = random_formula(rng, num_vars)
        flat = [entry for clause in clauses for entry in (*clause, 0)]
        with pytest.raises(Refused):
            check_drat(num_vars, flat, binary_drat(random_proof(rng, num_vars, clauses).encode()), None, None, lambda: None)
