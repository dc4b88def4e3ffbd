"""The largest margin that an applicant in debt can have."""

import numpy as np

import qbitsat
from qbitsat.properties import Box, Query, Ref, at_least

network = qbitsat.load("score.npz")
margin = ((1, Ref(0, "output", 1)), (-1, Ref(0, "output", 0)))  # approve - decline

# All applicants; what is assumed of them: the debt is at least half of the income.
box = Box(np.array([0, 0, 0, 0]), np.array([100, 100, 100, 1]))
in_debt = at_least(((2, Ref(0, "input", 1)), (-1, Ref(0, "input", 0))), 0)

found = qbitsat.maximize(Query((network,), (box,), in_debt), margin, certificates=True)
decline, approve = found.witness.outputs[0]
print(found.verdict, found.value, "as by an applicant in debt:", found.value == approve - decline)
for query, verdict in found.certificates:
    print(f"{verdict.verdict}: a margin of {-query.violation.parts[1].bound} or more")
