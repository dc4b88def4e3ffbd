"""The checker's own inference against the slow one."""

import random

import numpy as np
import pytest
from graphs import KINDS, WIDE, random_graph

from qbitsat import load
from qbitsat.certificate.inference import Inference
from qbitsat.network import reference


@pytest.mark.parametrize("seed", range(80))
def test_graphs_of_all_kinds_give_what_the_reference_gives(seed):
    rng = random.Random(seed)
    network = random_graph(rng, KINDS, tops=WIDE)
    ends = [(form.lo, form.hi) for form in network.inputs for _ in range(form.size)]
    x = [[rng.choice([lo, hi, rng.randint(lo, hi)]) for lo, hi in ends] for _ in range(4)]
    made = Inference(network)
    assert made.values(np.array(x)).tolist() == [reference.run_values(network, row) for row in x]
    assert made.outputs(np.array(x[0])) == reference.run(network, x[0])


@pytest.mark.parametrize("name", ["mnist_resnet_q", "mnist_dw_q", "magic_wand", "kws_ref_model"])
def test_networks_as_shipped_give_what_the_reference_gives(bench_data, name):
    network = load(bench_data / "tflite" / f"{name}.tflite")
    form = network.input
    x = np.random.default_rng(0).integers(form.lo, form.hi + 1, network.num_inputs)
    assert Inference(network).outputs(x) == reference.run(network, x.tolist())
