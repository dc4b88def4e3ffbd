"""How far may every pixel move before the class can change?"""

import qbitsat

network = qbitsat.load(qbitsat.examples.network_path())

for sample in (1, 2, 3):
    x, label = qbitsat.examples.sample(sample)
    found = qbitsat.radius(network, x, label, timeout=60)
    if not found.optimal:
        raise SystemExit(f"sample {sample}: {found.radius} to {found.upper}, {found.reason}")
    nearest = [int(v) for v in found.witness.outputs[0]]
    print(f"sample {sample}: holds up to eps {found.radius}, {found.radius * network.input.scale:g} in real units")
    print(f"  at {found.radius + 1} there is an input of class {nearest.index(max(nearest))}")
