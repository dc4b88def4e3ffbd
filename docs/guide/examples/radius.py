"""How far may every pixel move before the class can change? What holds at eps holds at every smaller eps."""

import qbitsat

network = qbitsat.load(qbitsat.examples.network_path())

for sample in (1, 2, 3):
    x, label = qbitsat.examples.sample(sample)
    holds, violated = 0, network.input.hi + 1  # at eps 0 the class is the label; find the first eps where it can change
    while violated - holds > 1:
        eps = (holds + violated) // 2
        verdict = qbitsat.verify(qbitsat.robustness(network, x, eps, label), timeout=60)
        if verdict.unknown:
            raise SystemExit(f"sample {sample}, eps {eps}: {verdict.reason}")
        holds, violated = (eps, violated) if verdict.holds else (holds, eps)
    print(f"sample {sample}: holds up to eps {holds}, {holds * network.input.scale:g} in real units")
