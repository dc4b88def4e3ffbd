"""The same from Python, in powers of two that suit each channel."""

import numpy as np

import qbitsat
from qbitsat import examples

model = qbitsat.load_float(examples.float_path())
images, labels = np.load(examples.images_path()), np.load(examples.labels_path())
network = qbitsat.quantize(model, "power-of-two:6,per-channel,input=u5.4", images / 16)
print(network, network.remarks)

found = qbitsat.bits(model, images, labels, 1, target=0.6, widths=(4, 6), format="power-of-two:B,input=u5.4", samples=range(10))
for result in found.results:
    print(f"{result.width.bits} bits: between {result.lower:g} and {result.upper:g} of 10 samples are robust")
