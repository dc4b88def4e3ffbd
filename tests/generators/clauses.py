"""Clauses as the kernels write them: buffers of literals with a zero after each clause."""

import itertools

import numpy as np


def flat(clauses):
    return np.array([lit for clause in clauses for lit in (*clause, 0)], np.int32)


def clauses_of(buffer):
    """The buffer as lists of literals."""
    clause, clauses = [], []
    for entry in np.asarray(buffer).tolist():
        if entry:
            clause.append(entry)
        else:
            clauses.append(clause)
            clause = []
    return clauses


def pigeons(n):
    """n + 1 pigeons in n holes: unsatisfiable, and out of reach of resolution from n = 10 or so."""
    var = lambda i, j: i * n + j + 1  # noqa: E731
    clauses = [[var(i, j) for j in range(n)] for i in range(n + 1)]
    clauses += [[-var(a, j), -var(b, j)] for j in range(n) for a, b in itertools.combinations(range(n + 1), 2)]
    return flat(clauses), n * (n + 1)
