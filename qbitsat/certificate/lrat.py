"""Proofs of unsatisfiability with hints (LRAT): each step adds a clause, and says which clauses before it show that it follows.

With all of its literals false, the clause of each hint has but one literal left that is not, which so must be true; that of the last
hint has none, so that not all of the literals were false. There is no other rule, and no variable beyond the CNF's. The last clause
added has no literals.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence

import numpy as np

from ..limits import Tick
from .reading import Refused

# Bytes that a proof may unpack to, that unpacking it may hold, and that are unpacked at a time.
MAX_BYTES, MAX_STATE, PIECE = 1 << 30, 1 << 26, 1 << 24
# Steps between questions whether limits hold, and steps that are made Python's numbers at a time.
TICK, BLOCK = 64, 1 << 14


class Proof:
    """A proof unpacked: literals and hints of all steps, one after the other, and how many each step has."""

    def __init__(self, packed: bytes, num_vars: int, tick: Tick):
        data = _unpacked(packed, tick)
        self.count = int(data[0]) if len(data) else -1
        if not 0 <= self.count <= (len(data) - 1) // 2:
            raise Refused(f"the LRAT proof has no room for its {self.count} steps")
        self.sizes, rest = data[1 : 1 + 2 * self.count].reshape(2, self.count), data[1 + 2 * self.count :]
        if self.count and (self.sizes[0].min() < 0 or self.sizes[1].min() < 1):
            raise Refused("a step of the LRAT proof has less than no literals, or no hint")
        literals, hints = (int(total) for total in self.sizes.sum(axis=1, dtype=np.int64))
        if literals + hints != len(rest):
            raise Refused(f"the LRAT proof has {len(rest)} literals and hints, its steps take {literals + hints}")
        self.literals, self.hints = rest[:literals], rest[literals:]
        if literals and not (-num_vars <= self.literals.min() <= self.literals.max() <= num_vars and self.literals.all()):
            raise Refused(f"the LRAT proof has literals {self.literals.min()} to {self.literals.max()}, expected variables 1 to {num_vars}")

    def steps(self) -> Iterator[tuple[list[int], list[int]]]:
        """Literals and hints of each step."""
        at, hint = 0, 0
        for begin in range(0, self.count, BLOCK):
            for literals, hints in self.sizes[:, begin : begin + BLOCK].T.tolist():
                yield self.literals[at : at + literals].tolist(), self.hints[hint : hint + hints].tolist()
                at, hint = at + literals, hint + hints

    def last_uses(self, first: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the steps' clauses, of which the first's is given, in the order of the last steps that name them; and those steps."""
        last, within = np.full(self.count, -1, np.int32), self.hints >= first
        named = self.hints[within] - first
        if len(named) and named.max() >= self.count:
            raise Refused(f"the LRAT proof names clause {first + named.max()}, which is not there")
        last[named] = np.repeat(np.arange(self.count, dtype=np.int32), self.sizes[1])[within]
        order = np.argsort(last)
        return first + order, last[order]


def _unpacked(packed: bytes, tick: Tick) -> np.ndarray:
    """The numbers of 32 bits, lowest byte first, in an xz stream."""
    unpacker, pieces, size = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_STATE), [packed], 0
    try:
        found = [unpacker.decompress(pieces.pop(), PIECE)]
        while not unpacker.eof and not unpacker.needs_input:
            tick()
            size += len(found[-1])
            if size > MAX_BYTES:
                raise Refused(f"the LRAT proof unpacks to more than {MAX_BYTES} bytes")
            found.append(unpacker.decompress(b"", PIECE))
    except lzma.LZMAError as error:
        raise Refused(f"the LRAT proof can't be unpacked: {error}") from error
    data = b"".join(found)
    if not unpacker.eof or unpacker.unused_data or len(data) % 4:
        raise Refused("the LRAT proof is cut off, or something stands behind its end")
    return np.frombuffer(data, "<i4")


def check_lrat(num_vars: int, clauses: Sequence[int], packed: bytes, tick: Tick) -> None:
    """Raise `Refused` unless the proof refutes the CNF, whose clauses are in DIMACS, each ended by 0; the first has number 0."""
    proof, cnf = Proof(packed, num_vars, tick), np.array(clauses, np.int64)
    ends = np.flatnonzero(cnf == 0)
    if (np.diff(ends, prepend=-1) == 1).any() and not proof.count:
        return  # it has an empty clause, which needs no proof
    known, clause = Clauses(cnf, ends), frozenset({0})
    olds, when = proof.last_uses(len(ends))
    gone = 0
    for step, (literals, hints) in enumerate(proof.steps()):
        if step % TICK == 0:
            tick()
        clause = frozenset(literals)
        false, last = set(clause), hints.pop()
        for hint in hints:
            left = known[hint] - false
            if len(left) != 1:
                raise Refused(f"step {step} of the LRAT proof: {len(left)} literals are left of clause {hint}, expected one")
            (literal,) = left
            false.add(-literal)
        if not known[last] <= false:
            raise Refused(f"step {step} of the LRAT proof: clause {last} is not false, as that of the last hint must be")
        known[len(ends) + step] = clause
        while gone < len(olds) and when[gone] <= step:  # no later step names it
            known.pop(int(olds[gone]), None)
            gone += 1
    if clause:
        raise Refused("the LRAT proof never derives the empty clause")


class Clauses(dict[int, frozenset[int]]):
    """Clauses by number: those of the CNF are looked up there when they are first named."""

    def __init__(self, cnf: np.ndarray, ends: np.ndarray):
        super().__init__()
        self.cnf, self.ends = cnf, ends

    def __missing__(self, number: int) -> frozenset[int]:
        if not 0 <= number < len(self.ends):
            raise Refused(f"the LRAT proof names clause {number}, which is not there")
        begin = int(self.ends[number - 1]) + 1 if number else 0
        self[number] = frozenset(self.cnf[begin : self.ends[number]].tolist())
        return self[number]
