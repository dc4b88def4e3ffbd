"""A query as a DIMACS file for any SAT solver, with comments that map input and output bits to variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from ..bounds import propagate, simplify
from ..limits import Limits
from ..options import Options
from ..properties import Query
from ..properties.formula import INPUT, OUTPUT, VALUE, without_not
from .about import about
from .cnf import TRUE_LIT, Cnf, WordMap, encode_query

CHUNK = 1 << 20

HEAD = """\
c satisfiable iff the property is violated
c each line "input K I = LO : LITERALS" says: element I of network K is LO + the sum of 2^i over the literals that hold,
c i from 0 (T and F are constants); "output" lines say the same of the outputs that the property needs, "value" lines of inner values
"""


def write(query: Query, options: Options, stream: BinaryIO) -> Cnf:
    """Write the query's CNF to a binary stream and return it; bounds simplify it unless options.bounds is off.

    `LimitReached` where options.timeout or options.memory run out before it is encoded; nothing is written then.
    """
    limits = Limits(options.timeout, options.memory)
    limits.begin("bounds")
    bounds = propagate(query, limits)
    formula = simplify(query, bounds) if options.bounds else without_not(query.named)
    cnf = encode_query(query, bounds, options, formula, limits)
    stream.write("".join(f"c {line}\n" for line in about(query, options)).encode() + HEAD.encode())
    for line in _map_lines(cnf):
        stream.write(line.encode())
    stream.write(f"p cnf {cnf.num_vars} {cnf.num_clauses}\n".encode())
    for start in range(0, len(cnf.clauses), CHUNK):
        stream.write(cnf.clauses.dimacs(start, min(start + CHUNK, len(cnf.clauses))))
    return cnf


def _map_lines(cnf: Cnf) -> Iterator[str]:
    listed: dict[str, list[dict[int, WordMap | None]]] = {
        INPUT: [dict(enumerate(words)) for words in cnf.inputs],
        OUTPUT: [dict(enumerate(words)) for words in cnf.outputs],
        VALUE: [dict(words) for words in cnf.values],
    }
    for kind, tensors in listed.items():
        for k, words in enumerate(tensors):
            for i, word in words.items():
                if word is not None:
                    yield f"c {kind} {k} {i} = {word.lo} :{''.join(_literal(lit) for lit in word.bits)}\n"


def _literal(lit: int) -> str:
    return {TRUE_LIT: " T", -TRUE_LIT: " F"}.get(lit, f" {lit}")
