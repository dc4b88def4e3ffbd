"""Plain Python twin of csrc/qbitsat/_kernels/exact/clauses_loops.c."""

from __future__ import annotations

from collections.abc import Sequence

PASSES, TOGETHER = 3, 16
# (value, lo, hi): no point has all of them.
Literals = Sequence[tuple[int, int, int]]
# Of a node: (clause, value, at, above); value -1 where all of it lies within the clause.
Cuts = list[tuple[int, int, int, bool]]


def cut(lo: list[list[int]], hi: list[list[int]], branches: list[int], clauses: Sequence[Literals], of: list[int]) -> list[Cuts]:
    """Cut the ranges of nodes, in place, by the clauses that some of sixteen neighbours may be near to."""
    made = list[Cuts]()
    for first in range(0, len(lo), TOGETHER):
        rows = range(first, min(first + TOGETHER, len(lo)))
        near = [k for k, literals in enumerate(clauses) if _is_near(literals, [lo[row] for row in rows], [hi[row] for row in rows])]
        for row in rows:
            mine = [k for k in near if of[k] in (-1, branches[row])]
            made.append(_cut_one(lo[row], hi[row], {k: clauses[k] for k in mine}))
    return made


def _is_near(literals: Literals, lo: list[list[int]], hi: list[list[int]]) -> bool:
    """No literal is apart from all nodes, and no two are such that no node is within them."""
    apart = [min(a[v] for a in lo) > end or max(b[v] for b in hi) < begin for v, begin, end in literals]
    outside = [max(a[v] for a in lo) < begin or min(b[v] for b in hi) > end for v, begin, end in literals]
    return not any(apart) and sum(outside) < 2


def _cut_one(lo: list[int], hi: list[int], clauses: dict[int, Literals]) -> Cuts:
    made: Cuts = []
    for _ in range(PASSES):
        before = len(made)
        for k, literals in clauses.items():
            missed = [(v, a, b) for v, a, b in literals if not (a <= lo[v] and hi[v] <= b)]
            if not missed:
                return [*made, (k, -1, 0, False)]
            (v, a, b), *others = missed
            if others or hi[v] < a or b < lo[v] or (lo[v] < a and b < hi[v]):
                continue
            above = a <= lo[v]
            made.append((k, v, b + 1 if above else a, above))
            if above:
                lo[v] = b + 1
            else:
                hi[v] = a - 1
        if len(made) == before:
            break
    return made
