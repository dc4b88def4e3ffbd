"""The same file in four runtimes; and whether one pixel alone can change the class, drawn where it can."""

import numpy as np

import qbitsat
from qbitsat import examples
from qbitsat.network import forward
from qbitsat.report import side_by_side

x, label = examples.sample(6)
for name in ("tflm", "tflite-ref", "tflite-opt", "xnnpack"):
    network = qbitsat.load(examples.tflite_path(), runtime=name)
    pixels = network.input.quantize(x / 16).reshape(-1)
    print(f"{name:<10}", forward(network, pixels[None])[0].tolist())

x, label = examples.sample(9)
pixels = network.input.quantize(x / 16).reshape(-1)
for element in range(pixels.size):
    verdict = qbitsat.verify(qbitsat.robustness(network, pixels, 255, label, region=f"{element}"), engine="enumerate", attack=False)
    if verdict.violated:
        found = np.array(verdict.witness.inputs[0])
        print(side_by_side(network.input, pixels, found, (f"class {label}", f"class {np.argmax(verdict.witness.outputs[0])}")))
        break
