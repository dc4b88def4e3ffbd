"""May this output fall below a threshold?"""

import numpy as np

import qbitsat
from qbitsat.properties import AtMost, Box, Query, Ref

network = qbitsat.load("score.npz")
approve = Ref(network=0, tensor="output", element=1)

# Applicants with an income of at least 60 and a debt of at most 20; any years, either group.
box = Box(lo=np.array([60, 0, 0, 0]), hi=np.array([100, 20, 100, 1]))

for threshold in (0, 20):
    below = AtMost(((1, approve),), threshold - 1)
    verdict = qbitsat.verify(Query((network,), (box,), violation=below))
    print(f"approve below {threshold}: {verdict.verdict}")
    if verdict.witness:
        print("  input", verdict.witness.inputs[0], "gives", verdict.witness.outputs[0])
