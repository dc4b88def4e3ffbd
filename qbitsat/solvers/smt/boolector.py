"""Boolector through pyboolector, with CaDiCaL inside."""

from __future__ import annotations

import pyboolector

from ...limits import Limits
from .base import SAT, UNKNOWN, UNSAT, Answer, Script, nameless_file

# The number of Boolector's option model-gen, which the package doesn't name.
MODEL_GEN = 1


def run(script: Script, limits: Limits) -> Answer:
    boolector = pyboolector.Boolector()
    boolector.Set_opt(MODEL_GEN, 1)
    with nameless_file(script.body) as file:
        _, _, message = boolector.Parse(f"/dev/fd/{file.fileno()}")
    if message:
        raise ValueError(message)
    result = boolector.Sat()
    if result == boolector.SAT:
        # A bit that the answer leaves open is an x.
        bits = {name: boolector.Match_by_symbol(name).assignment.replace("x", "0") for name in script.names}
        return Answer(SAT, values={name: int(text, 2) for name, text in bits.items()})
    return Answer(UNSAT) if result == boolector.UNSAT else Answer(UNKNOWN, "the solver gave up")
