"""Bitwuzla through its Python package."""

from __future__ import annotations

import bitwuzla

from ...limits import Limits
from .base import SAT, UNKNOWN, UNSAT, Answer, Script


def run(script: Script, limits: Limits) -> Answer:
    options = bitwuzla.Options()
    options.set(bitwuzla.Option.PRODUCE_MODELS, True)
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    # The text itself, not the name of a file; commands but check-sat are carried out as they are read.
    parser.parse(script.body, True, False)
    solver = parser.bitwuzla()
    result = solver.check_sat()
    if result == bitwuzla.Result.SAT:
        return Answer(SAT, values={term.symbol(): int(solver.get_value(term).value(10)) for term in parser.get_declared_funs()})
    return Answer(UNSAT) if result == bitwuzla.Result.UNSAT else Answer(UNKNOWN, "the solver gave up")
