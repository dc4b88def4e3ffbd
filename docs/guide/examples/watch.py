"""Watch a query as it runs, and stop it."""

import threading

import qbitsat

network = qbitsat.load(qbitsat.examples.network_path())
x, label = qbitsat.examples.sample(9)
stop = threading.Event()  # any thread may set it
stages = []


def watch(progress):
    stages.append(progress.stage)
    if progress.stage == "search":
        stop.set()


verdict = qbitsat.verify(qbitsat.robustness(network, x, eps=1, label=label), progress=watch, cancel=stop)
print(", ".join(dict.fromkeys(stages)))
print(verdict.verdict, verdict.reason)
