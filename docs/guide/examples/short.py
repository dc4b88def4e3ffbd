import qbitsat

network = qbitsat.load(qbitsat.examples.network_path())
x, label = qbitsat.examples.sample(1)
print(qbitsat.verify(qbitsat.robustness(network, x, eps=1, label=label)).verdict)
