"""Fewest weight bits of a region, task by task."""

from argparse import Namespace

import numpy as np
from models import chain

import qbitsat
from bench.quadapter import FORMAT, summary, task


def test_the_fewest_bits_of_a_region():
    model, args = chain(np.random.default_rng(21), n_in=3), Namespace(widths=[1, 5], timeout=20.0)
    x = np.random.default_rng(2).integers(60, 200, (8, 3))
    labels = model.run(x / 256)[0].argmax(axis=1)
    entries = [task(model, row, int(label), 2, x / 256, args) for row, label in zip(x, labels, strict=True)]
    solved = [entry for entry in entries if entry["bits"]]
    assert solved
    assert all(entry["verdict"] == ("HOLDS" if entry["bits"] else "UNKNOWN") for entry in entries)
    row, label, entry = next(found for found in zip(x, labels, entries, strict=True) if found[2]["bits"])
    names = [layer.name for layer in model.layers if hasattr(layer, "weights")]
    text = ",".join([FORMAT, *(f"{name}.weights={bits}" for name, bits in zip(names, entry["bits"], strict=True))])
    network = qbitsat.quantize(model, text, x / 256)
    assert qbitsat.verify(qbitsat.robustness(network, row, 2, int(label))).holds
    found = summary(2, entries)
    assert (found["tasks"], found["solved"]) == (8, len(solved))
    assert found["minimal"] == sum(entry["open"] == 0 for entry in solved)
    assert found["mean_bits"] == np.mean([entry["mean"] for entry in solved])


def test_nothing_solved():
    entry = {"bits": None, "open": 0, "mean": None, "seconds": 1.0, "choices": 4}
    assert summary(1, [entry, entry])["mean_bits"] is None
