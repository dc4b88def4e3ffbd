"""Can one step of every pixel change the class?"""

import numpy as np

import qbitsat

network = qbitsat.load(qbitsat.examples.network_path())
x, label = qbitsat.examples.sample(0)

verdict = qbitsat.verify(qbitsat.robustness(network, x, eps=1, label=label))
print(verdict.verdict)
if verdict.violated:
    print("  outputs", verdict.witness.outputs[0])
    print("  pixels changed:", int((np.array(verdict.witness.inputs[0]) != x.reshape(-1)).sum()))
