"""cvc5 through its Python package."""

from __future__ import annotations

import cvc5

from ...limits import Limits
from .base import SAT, UNKNOWN, UNSAT, Answer, Script


def run(script: Script, limits: Limits) -> Answer:
    solver = cvc5.Solver(cvc5.TermManager())
    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, script.body, "query")
    symbols = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        printed = command.invoke(solver, symbols)
        if printed:
            raise ValueError(f"{command.getCommandName()} printed {printed!r}")
    result = solver.checkSat()
    if result.isSat():
        terms = symbols.getDeclaredTerms()
        return Answer(SAT, values={term.getSymbol(): int(solver.getValue(term).getBitVectorValue(10)) for term in terms})
    return Answer(UNSAT) if result.isUnsat() else Answer(UNKNOWN, f"the solver gave up: {result.getUnknownExplanation()}")
