"""A float model that is robust with 5 bits and with 7, and not with 6."""

import qbitsat
from qbitsat import examples

model, x, label = examples.nonmonotonic()
for bits in range(5, 10):
    network = qbitsat.quantize(model, f"paper:{bits},input=u4.4")
    verdict = qbitsat.verify(qbitsat.robustness(network, x, 2, label), engine="enumerate", attack=False)
    found = f": {verdict.witness.inputs[0]} gives {verdict.witness.outputs[0]}" if verdict.witness else ""
    print(f"{bits} bits: {verdict.verdict}{found}")
