"""Does a protected feature change the answer? Two copies of one network, equal in all inputs but that one."""

import numpy as np

import qbitsat
from qbitsat.properties import And, AtMost, Box, Query, Ref, at_least

INCOME, DEBT, YEARS, GROUP = range(4)
network = qbitsat.load("score.npz")


def equal(i):
    """Input i is the same in both copies: the difference is at most 0 and at least 0."""
    difference = ((1, Ref(0, "input", i)), (-1, Ref(1, "input", i)))
    return And((AtMost(difference, 0), at_least(difference, 0)))


def margin(copy):
    """approve - decline; the class is the first maximum, so a margin of 0 declines."""
    return ((1, Ref(copy, "output", 1)), (-1, Ref(copy, "output", 0)))


group_0 = Box(np.array([0, 0, 0, 0]), np.array([100, 100, 40, 0]))
group_1 = Box(np.array([0, 0, 0, 1]), np.array([100, 100, 40, 1]))

for gap in (1, 8):
    unfair = And((equal(INCOME), equal(DEBT), equal(YEARS), at_least(margin(0), gap), AtMost(margin(1), 0)))
    verdict = qbitsat.verify(Query((network, network), (group_0, group_1), unfair))
    print(f"approved by {gap} in group 0, declined in group 1: {verdict.verdict}")
    if verdict.witness:
        for x, y in zip(verdict.witness.inputs, verdict.witness.outputs, strict=True):
            print("  applicant", x, "decline, approve", y)
