"""Can more of an input lower an output? Two copies of one network, the second with one step more of that input."""

import numpy as np

import qbitsat
from qbitsat.properties import And, AtMost, Box, Query, Ref, at_least

network = qbitsat.load("score.npz")
box = Box(np.array([0, 0, 0, 0]), np.array([100, 100, 40, 1]))


def differ_by(i, step):
    """Input i of copy 1 is that of copy 0 plus step."""
    difference = ((1, Ref(1, "input", i)), (-1, Ref(0, "input", i)))
    return And((AtMost(difference, step), at_least(difference, step)))


# Steps of one are enough: an output that never falls from one value to the next never falls.
for more, name in enumerate(("income", "debt", "years")):
    linked = And(tuple(differ_by(i, int(i == more)) for i in range(4)))
    lower = AtMost(((1, Ref(1, "output", 1)), (-1, Ref(0, "output", 1))), -1)
    verdict = qbitsat.verify(Query((network, network), (box, box), And((linked, lower))), timeout=60)
    print(f"more {name} lowers approve: {verdict.verdict}")
    if verdict.witness:
        for x, y in zip(verdict.witness.inputs, verdict.witness.outputs, strict=True):
            print("  applicant", x, "approve", y[1])
