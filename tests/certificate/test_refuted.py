"""Proofs that refute what is satisfiable: none is accepted."""

import random

import numpy as np
import pytest
from forge_proofs import forge, packed, rat_meets_deletion

import qbitsat
from qbitsat._kernels.cnf import lrat as _lrat
from qbitsat.bounds import propagate, simplify
from qbitsat.certificate.write import Source, write
from qbitsat.cli.main import main
from qbitsat.encode import encode_query
from qbitsat.examples import images_path, labels_path, network_path
from qbitsat.limits import Limits
from qbitsat.options import make_options
from qbitsat.search.proof import Refutation
from qbitsat.solvers.proofs import binary_drup
from qbitsat.verify import HOLDS, VIOLATED, Verdict, verify


def test_forged_verdict_of_the_example(tmp_path, capsys):
    """A HOLDS for a violated query, by steps that checkers of RAT with deletion accept."""
    network = qbitsat.load(network_path())
    x, label = np.load(images_path())[1].reshape(-1), int(np.load(labels_path())[1])
    query = qbitsat.robustness(network, x, 3, label)
    assert verify(query).verdict == VIOLATED
    options = make_options(certificates=True, engine="sat", encoding="balanced")
    bounds = propagate(query)
    cnf = encode_query(query, bounds, options, simplify(query, bounds), Limits())
    clauses, last = np.asarray(cnf.clauses), int((np.asarray(cnf.clauses) == 0).sum())
    for a, b in ((cnf.num_vars + 1, cnf.num_vars + 2), (cnf.num_vars - 1, cnf.num_vars), (1, 2)):
        drup = binary_drup(rat_meets_deletion(a, b).encode())
        assert _lrat.trim(cnf.num_vars, clauses, drup, lambda: None)[0] in (_lrat.VARIABLE, _lrat.OPEN, _lrat.NOT_RUP)
        steps = [([-a], [0]), ([b, a], [last]), ([-b, a], [last, last + 1]), ([a], [last + 1, last + 2]), ([], [last, last + 3])]
        path = tmp_path / "forged.cert"
        verdict = Verdict(HOLDS, engine="sat", proof=Refutation(cnf.sha256, packed(steps)), options=options)
        write(path, query, verdict, [Source(str(network_path()))])
        assert main(["check", str(path)]) == 20
        assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize("seed", range(4))
def test_forged_proofs(seed):
    rng, found = random.Random(seed), set()
    for _ in range(1500):
        found.add(forge(rng))
    assert len(found) == 5
