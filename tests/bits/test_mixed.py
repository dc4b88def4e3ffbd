"""Widths of each layer: the answer is that of enumerating all choices and inputs."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from models import chain

from qbitsat import examples
from qbitsat.bits import mixed_bits
from qbitsat.bits.mixed import MISSED, OPEN, REACHED, choices, missing
from qbitsat.bits.sharing import SharingVerifier
from qbitsat.cli.main import main
from qbitsat.errors import InputError
from qbitsat.network import forward
from qbitsat.network.float_network import Activation, FloatNetwork
from qbitsat.quantize import quantize
from qbitsat.verify import UNKNOWN, Verdict

FORMAT = "power-of-two:6,input=u4.4"
WIDTHS = (2, 3, 4, 5)


@pytest.fixture(scope="module")
def model():
    return chain(np.random.default_rng(21), n_in=3)


@pytest.fixture(scope="module")
def samples(model):
    x = np.random.default_rng(1).integers(0, 16, (24, 3))
    return x, model.run(x / 16)[0].argmax(axis=1)


@pytest.fixture(scope="module")
def robust(model, samples):
    """How many samples are robust with every choice, by running all inputs."""
    x, labels = samples
    names = [layer.name for layer in model.layers if hasattr(layer, "weights")]
    found = {}
    for bits in itertools.product(WIDTHS, repeat=len(names)):
        text = ",".join([FORMAT, *(f"{name}.weights={b}" for name, b in zip(names, bits, strict=True))])
        network, count = quantize(model, text, x / 16), 0
        for row, label in zip(x, labels.tolist(), strict=True):
            ranges = [np.arange(max(0, v - 1), min(15, v + 1) + 1) for v in row]
            points = np.stack(np.meshgrid(*ranges), axis=-1).reshape(-1, 3)
            count += bool((forward(network, points).argmax(axis=1) == label).all())
        found[bits] = count
    return found


@pytest.mark.parametrize("needed", [6, 10, 13, 24])
def test_the_fewest_weight_bits_are_found(model, samples, robust, needed):
    x, labels = samples
    told = []
    made = mixed_bits(model, x, labels, 1, target=needed / 24, widths=WIDTHS, format=FORMAT, told=told.append)
    reached = [bits for bits in choices(made.weights, WIDTHS) if robust[bits] >= needed]
    assert (made.found and made.found.bits) == (reached[0] if reached else None)
    assert told == list(made.trials)
    for trial in made.trials:
        assert trial.outcome == (REACHED if robust[trial.bits] >= needed else MISSED)
        assert trial.weight_bits == int(np.dot(trial.bits, made.weights))
        assert trial.result.holds <= robust[trial.bits] <= 24 - trial.result.violated - trial.result.misclassified
    assert [t.weight_bits for t in made.trials] == sorted(t.weight_bits for t in made.trials)
    assert ("the fewest for which it is proved" in str(made)) == bool(reached)


def test_what_stays_open_is_told(model, samples, monkeypatch):
    x, labels = samples
    monkeypatch.setattr(SharingVerifier, "decide", lambda self, task, query: Verdict(UNKNOWN, "timeout"))
    made = mixed_bits(model, x, labels, 1, target=0.1, widths=(4, 5), format=FORMAT)
    assert made.found is None
    assert made.open == tuple(trial for trial in made.trials if trial.outcome == OPEN)
    assert str(made).startswith("no choice of bits is known to reach it")


@pytest.mark.parametrize(
    ("sizes", "widths"), [((7,), (4, 2, 9)), ((6, 4, 6), range(2, 7)), ((1, 1, 1, 1), (1, 2, 8)), ((100, 3, 20, 1, 9), (3, 4, 7))]
)
def test_choices_come_in_the_order_of_their_weight_bits(sizes, widths):
    every = itertools.product(sorted(widths), repeat=len(sizes))
    assert list(choices(sizes, widths)) == sorted(every, key=lambda bits: (int(np.dot(bits, sizes)), bits))


def test_deep_networks_have_more_choices_than_can_be_listed(model, samples):
    layers = (*model.layers[:2], *again(model, 9))
    deep = replace(model, layers=layers, outputs=(len(layers) - 1,), name="deep")
    x = samples[0]
    made = mixed_bits(deep, x, deep.run(x / 16)[0].argmax(axis=1), 0, target=0.1, widths=range(2, 9), format=FORMAT)
    assert made.found is not None
    assert len(set(itertools.islice(choices(made.weights, range(2, 9)), 300))) == 300
    assert made.found.bits == next(itertools.islice(choices(made.weights, range(2, 9)), len(made.trials) - 1, None))


@pytest.mark.parametrize(
    ("count", "missed", "said"),
    [
        (1, 1, "the choice certainly misses it"),
        (3, 3, "all 3 choices certainly miss it"),
        (3, 1, "of 3 choices 1 certainly misses it, 2 open"),
        (3, 2, "of 3 choices 2 certainly miss it, 1 open"),
        (1, 0, "of 1 choice 0 certainly miss it, 1 open"),
    ],
)
def test_how_many_choices_miss_it(count, missed, said):
    assert missing(count, missed, "choice", "choices") == said


def test_results_are_written_and_gone_on_with(model, samples, tmp_path):
    x, labels = samples
    options = {"target": 10 / 24, "widths": WIDTHS, "format": FORMAT, "out": tmp_path / "out"}
    made = mixed_bits(model, x, labels, 1, **options)
    kept = json.loads((tmp_path / "out" / "bits.json").read_text())
    assert kept["answer"]["bits"] == list(made.found.bits)
    assert len(kept["trials"]) == len(made.trials)
    again = mixed_bits(model, x, labels, 1, resume=True, **options)
    assert [(t.bits, t.outcome) for t in again.trials] == [(t.bits, t.outcome) for t in made.trials]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "paper:B"}, "expected one without B and F"),
        ({"format": "int8"}, "'int8', whose weights have no width to choose; expected a fixed-point format"),
        ({"format": "qkeras"}, "'qkeras', whose weights have no width to choose; expected a fixed-point format"),
        ({"widths": ()}, "at least one"),
    ],
)
def test_bad_choices_are_refused(samples, change, message):
    with pytest.raises(InputError, match=message):
        mixed_bits(chain(np.random.default_rng(3), n_in=3), *samples, 1, **({"format": FORMAT, "widths": WIDTHS} | change))


def test_a_model_without_weights_is_refused(samples):
    model = FloatNetwork(((3,),), (Activation("relu", (-1,), "relu"),))
    with pytest.raises(InputError, match="no layer has weights"):
        mixed_bits(model, *samples, 1, target=0, format=FORMAT)


def again(model, times: int):
    """A square layer, so many times more."""
    size = len(model.layers[0].bias)
    square = type(model.layers[0])
    return [square(f"more{k}", (k + 1,), np.eye(size), np.zeros(size)) for k in range(times)]


def test_per_layer_on_the_command_line(tmp_path, capsys):
    paths = map(str, (examples.float_path(), examples.images_path(), examples.labels_path()))
    model, images, labels = paths
    command = ["bits", model, "--inputs", images, "--labels", labels, "--eps", "1", "--per-layer", "--format", "power-of-two:6,input=u5.4"]
    assert main([*command, "--widths", "2:5", "--samples", "0:10", "--target", "0.6", "--out", str(tmp_path / "out")]) == 0
    *lines, answer, written = capsys.readouterr().out.splitlines()
    assert lines[-1].split("  ")[2].strip() == "reached"
    assert "bits a weight, the fewest for which it is proved that 0.6 of the samples are robust" in answer
    assert written == f"results in {tmp_path / 'out' / 'bits.json'}"
    assert main([*command, "--fractions", "2"]) == 2
