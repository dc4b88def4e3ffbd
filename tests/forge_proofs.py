"""Forged proofs against satisfiable CNFs: python tests/forge_proofs.py --count 100000

Random steps with hints that look right, honest proofs of one CNF held against another or changed in a few numbers, and the steps of RAT and
deletion that other checkers accept. None may refute a CNF that an assignment satisfies; what is accepted of other CNFs is tried in full.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections import Counter

import numpy as np

from qbitsat._kernels.cnf import lrat as _lrat
from qbitsat.certificate.lrat import check_lrat
from qbitsat.certificate.reading import Refused
from qbitsat.solvers.proofs import binary_drup, pack

Clauses = list[list[int]]
Step = tuple[list[int], list[int]]  # literals, hints


def flat(clauses: Clauses) -> list[int]:
    return [entry for clause in clauses for entry in (*clause, 0)]


def packed(steps: list[Step]) -> bytes:
    """A proof as certificates have it."""
    sizes = np.array([(len(literals), len(hints)) for literals, hints in steps], np.int32).reshape(-1, 2)
    return pack(sizes, *(np.array([x for step in steps for x in step[k]], np.int32) for k in (0, 1)))


def steps_of(sizes: np.ndarray, literals: np.ndarray, hints: np.ndarray) -> list[Step]:
    ends = np.cumsum(sizes, axis=0)
    return [(literals[a - n : a].tolist(), hints[b - m : b].tolist()) for (n, m), (a, b) in zip(sizes.tolist(), ends.tolist(), strict=True)]


def accepted(num_vars: int, clauses: Clauses, proof: bytes) -> bool:
    try:
        check_lrat(num_vars, flat(clauses), proof, lambda *_: None)
    except Refused:
        return False
    return True


def satisfiable(num_vars: int, clauses: Clauses) -> bool:
    """By trying every assignment."""
    return any(
        all(any(signs[abs(lit) - 1] == (lit > 0) for lit in clause) for clause in clauses)
        for signs in itertools.product((False, True), repeat=num_vars)
    )


def random_clauses(rng: random.Random, num_vars: int, count: int) -> Clauses:
    return [[v * rng.choice((-1, 1)) for v in rng.sample(range(1, num_vars + 1), rng.randint(1, min(3, num_vars)))] for _ in range(count)]


def random_formula(rng: random.Random, num_vars: int) -> Clauses:
    """A CNF that some assignment satisfies."""
    holds = {v if rng.random() < 0.5 else -v for v in range(1, num_vars + 1)}
    clauses = random_clauses(rng, num_vars, rng.randint(1, 4 * num_vars))
    return [clause if holds & set(clause) else [-clause[0], *clause[1:]] for clause in clauses]


def rat_meets_deletion(a: int, b: int) -> str:
    """Steps that checkers of RAT accept of any CNF: the literal -a stays true although its reason is gone."""
    return f"{-a} 0\n{b} {a} 0\nd {a} {b} 0\n{-b} {a} 0\n{a} 0\n0\n"


def random_drup(rng: random.Random, num_vars: int, clauses: Clauses) -> str:
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


def following(rng: random.Random, clauses: Clauses, literals: list[int]) -> list[int]:
    """Hints as far as they are right: clauses that propagate from the negation, in some order."""
    false, hints = set(literals), []
    for k in rng.sample(range(len(clauses)), len(clauses)) * 2:
        left = set(clauses[k]) - false
        if len(left) <= 1:
            hints.append(k)
            false |= {-lit for lit in left}
        if not left:
            break
    return hints


def random_steps(rng: random.Random, num_vars: int, clauses: Clauses) -> list[Step]:
    """Clauses with hints that are mostly right, then the empty clause; variables beyond the CNF's sometimes."""
    known, steps = [list(c) for c in clauses], []
    for number in range(count := rng.randint(1, 7)):
        most = num_vars + (rng.random() < 0.1)
        literals = [v * rng.choice((-1, 1)) for v in rng.choices(range(1, most + 1), k=rng.randint(0, 3))] if number < count - 1 else []
        hints = following(rng, known, literals)
        for _ in range(rng.choice((0, 0, 1, 2))):
            hints.insert(rng.randint(0, len(hints)), rng.randrange(-1, len(known) + 2))
        steps.append((literals, hints or [rng.randrange(len(known))]))
        known.append(literals)
    return steps


def honest(num_vars: int, clauses: Clauses) -> list[Step] | None:
    """A right proof with hints, of clauses of an unsatisfiable CNF that follow one after the other; None if it is satisfiable."""
    if satisfiable(num_vars, clauses):
        return None
    # With all clauses over n - 1 variables, those over n follow from; down to the empty one.
    text = ""
    for size in range(num_vars - 1, -1, -1):
        for signs in itertools.product((-1, 1), repeat=size):
            text += " ".join(str(sign * v) for v, sign in enumerate(signs, 1)) + " 0\n"
    state, *arrays = _lrat.trim(num_vars, np.array(flat(clauses), np.int32), binary_drup(text.encode()), lambda: None)
    assert state == _lrat.DONE
    return steps_of(*arrays)


def mutated(rng: random.Random, steps: list[Step], num_vars: int, num_clauses: int) -> list[Step]:
    """One to three changes: of a literal or a hint, of their order, of steps."""
    steps = [(list(literals), list(hints)) for literals, hints in steps]
    for _ in range(rng.randint(1, 3)):
        if not steps:
            break
        literals, hints = steps[i := rng.randrange(len(steps))]
        kind, top = rng.randrange(7), num_clauses + len(steps)
        if kind == 0:
            hints[rng.randrange(len(hints))] = rng.randrange(-1, top + 1)
        elif kind == 1 and literals:
            literals[rng.randrange(len(literals))] = rng.choice((-1, 1)) * rng.randint(1, num_vars + 1)
        elif kind == 2 and literals:
            literals.pop(rng.randrange(len(literals)))
        elif kind == 3 and len(hints) > 1:
            hints.pop(rng.randrange(len(hints)))
        elif kind == 4:
            rng.shuffle(hints)
        elif kind == 5:
            steps.pop(i)
        else:
            steps.insert(rng.randrange(len(steps)), steps[i])
    return steps


def forge(rng: random.Random) -> str:
    """Make one proof and hold it against a CNF; what it was. Raises `AssertionError` if what is accepted is satisfiable."""
    num_vars = rng.randint(2, 5)
    clauses = random_formula(rng, num_vars)
    kind = rng.randrange(3)
    if kind == 0:
        state, *arrays = _lrat.trim(
            num_vars, np.array(flat(clauses), np.int32), binary_drup(random_drup(rng, num_vars, clauses).encode()), lambda: None
        )
        assert state != _lrat.DONE, clauses
        assert not accepted(num_vars, clauses, pack(*arrays)), clauses
        return "DRUP of a satisfiable CNF"
    if kind == 1:
        assert not accepted(num_vars, clauses, packed(steps := random_steps(rng, num_vars, clauses))), (clauses, steps)
        return "steps with hints, of a satisfiable CNF"
    other = random_clauses(rng, num_vars, rng.randint(3 * num_vars, 8 * num_vars))
    right = honest(num_vars, other)
    if right is None:
        return "none made"
    assert accepted(num_vars, other, packed(right)), other
    # One clause less or changed may leave the CNF unsatisfiable, and a changed proof right.
    changed = [list(clause) for clause in other]
    if rng.random() < 0.7:
        clause = changed[rng.randrange(len(changed))]
        clause[0] = -clause[0]
    steps = mutated(rng, right, num_vars, len(other)) if rng.random() < 0.7 else right
    if not accepted(num_vars, changed, packed(steps)):
        return "changed proofs, refused"
    assert not satisfiable(num_vars, changed), (changed, steps)
    return "changed proofs, accepted and right"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start, rng, counts = time.monotonic(), random.Random(arguments.seed), Counter[str]()
    while counts.total() - counts["none made"] < arguments.count:
        counts[forge(rng)] += 1
    print(f"{arguments.count} proofs in {time.monotonic() - start:.0f} s")
    for text, count in counts.most_common():
        print(f"{count:8} {text}")


if __name__ == "__main__":
    main()
