"""Accumulators that wrap around, against sums of Python's integers that wrap at every step, and the commands that ask about them."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import dense, one_layer, tensor
from inner import region
from tiny import all_inputs

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.arithmetic.rounding import wrap
from qbitsat.cli.main import main
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.importers import load, save
from qbitsat.network import Convolution, Dense, Linear, Network, forward_all, reference
from qbitsat.network.accumulating import weighted_layers, wrapped
from qbitsat.network.reference import first_maximum
from qbitsat.properties import agreement
from qbitsat.verify import verify


def run_wrapped(network: Network, bits: dict[int, int], x: list[int]) -> list[int]:
    """Outputs with every sum on its way wrapped around."""
    values = list(x)
    for k, layer in enumerate(network.layers):
        cells, zero, made = network.views[k].tolist(), layer.input.zero_point, []
        for i in range(layer.affine.n_out):
            read, weights = layer.affine.row(i)
            acc = int(layer.affine.biases[i])
            for j, w in zip(read.tolist(), weights.tolist(), strict=True):
                acc += w * (values[cells[j]] if cells[j] >= 0 else zero)
                if k in bits:
                    acc = wrap(acc, -(1 << (bits[k] - 1)), (1 << (bits[k] - 1)) - 1)
            if k in bits:
                acc = wrap(acc, -(1 << (bits[k] - 1)), (1 << (bits[k] - 1)) - 1)
            made.append(int(layer.requantizer(i).apply(acc)))
        values += made
    return [values[v] for v in network.outputs.tolist()]


@pytest.mark.parametrize("first", [0, 40])
def test_sums_that_wrap_agree_with_integers(first):
    changed = 0
    for seed in range(first, first + 40):
        rng = random.Random(seed)
        (network, *_), boxes, _ = region(rng, 60)
        layers = weighted_layers(network)
        bits = {k: rng.randint(1, 12) for k in rng.sample(layers, rng.randint(1, len(layers)))}
        narrow = wrapped(network, ",".join(f"{k}={n}" for k, n in bits.items()))
        changed += len(narrow.layers) > len(network.layers)
        for x in all_inputs(boxes)[0][:: max(1, 60 // 12)].tolist():
            expected = run_wrapped(network, bits, x)
            assert reference.run(narrow, x) == expected, seed
            assert forward_all(narrow, np.array([x]))[0, narrow.outputs].tolist() == expected
    assert changed > 10


def test_verdicts_about_the_narrow_and_the_wide_network():
    """Against all points of small boxes, by every engine."""
    verdicts = []
    for seed in range(60, 110):
        rng = random.Random(seed)
        (network, *_), boxes, _ = region(rng, 60)
        if len(network.outputs) < 2:
            continue
        bits = rng.randint(3, 10)
        query = replace(agreement(network, wrapped(network, bits), boxes[0].lo.tolist(), 0), boxes=boxes[:1])
        narrow = dict.fromkeys(weighted_layers(network), bits)
        points = all_inputs(boxes[:1])[0].tolist()
        same = all(first_maximum(reference.run(network, x)) == first_maximum(run_wrapped(network, narrow, x)) for x in points)
        verdict = verify(query, engine=("auto", "sat", "hybrid")[seed % 3], seed=seed)
        assert verdict.verdict == ("HOLDS" if same else "VIOLATED"), seed
        verdicts.append(same)
    assert min(verdicts.count(True), verdicts.count(False)) > 5


def test_layers_that_can_not_leave_stay():
    """15 * 8 - 2 * 15: from -30 to 120, which 8 bits hold and 7 do not."""
    step = ShiftRequantizer(1, "floor", 0, 15)
    network = Network((dense([[8, -2]], None, step, tensor(2)), dense([[1]], None, step, tensor(1, 0, 15))))
    assert wrapped(network, 8) is network
    assert wrapped(network, "1=8") is network
    narrow = wrapped(network, "7")
    assert [type(layer) for layer in narrow.layers] == [Dense, Linear, Dense]
    assert [layer.name for layer in narrow.layers[:2]] == ["dense", "dense.cast"]
    # 64 wraps to -64, which is 0 behind the rectifier.
    assert [reference.run(narrow, x) for x in ([7, 0], [8, 0], [15, 0])] == [[7], [0], [0]]
    assert [reference.run(network, x) for x in ([7, 0], [8, 0], [15, 0])] == [[7], [7], [7]]


def test_padding_counts():
    """A zero point outside the range of values, which padding has, and which alone leaves 8 bits before the bias."""
    form = tensor(1, 0, 3, 100)
    form = type(form)((1, 1, 1), 0, 3, 1.0, 100)
    step = ShiftRequantizer(0, "floor", -512, 511)
    image = Convolution(
        "image", form, type(form)((1, 1, 1), -512, 511), (step,), np.array([[[[1], [1]]]]), np.array([0]), padding=((0, 0), (1, 0))
    )
    network = Network((image,))
    assert reference.run(network, [0]) == [-100]
    assert wrapped(network, 8) is network or reference.run(wrapped(network, 8), [0]) == [-100]
    assert reference.run(wrapped(network, 7), [0]) == [28]


@pytest.mark.parametrize(
    ("accumulator", "said"),
    [
        (0, "expected bits from 1 to 32"),
        ("x", "expected bits from 1 to 32"),
        ("3=8", "expected LAYER=TYPE with one of the layers 0"),
        ("8,9", "expected LAYER=TYPE with one of the layers 0"),
        ("ap_fixed<16,6>", "expected bits from 1 to 32"),
    ],
)
def test_types_that_are_refused(accumulator, said):
    with pytest.raises(InputError, match=said):
        wrapped(one_layer([[1, 1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(2)), accumulator)


def test_more_than_words_can_not_wrap():
    wide = one_layer([[1 << 30, 1 << 30]], None, ShiftRequantizer(20, "floor", 0, 1 << 20), tensor(2))
    with pytest.raises(UnsupportedError, match="may leave 34 bits, expected at most 32 that wrap around"):
        wrapped(wide, 34)
    assert wrapped(wide, 40) is wide


# --- the commands ---


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """x0 is class 0 up to 63 / 8, then wraps around in 7 bits."""
    monkeypatch.chdir(tmp_path)
    save(one_layer([[8, -2], [0, 1]], None, ShiftRequantizer(0, "floor", -128, 127), tensor(2)), "net.npz")
    np.save("x.npy", np.array([[5, 5], [9, 0]]))


def test_agree_with_narrower_accumulators(capsys):
    around = ("--inputs", "x.npy", "--eps", "1")
    assert main(["agree", "net.npz", "--other-accumulator", "7", *around, "--out", "out", "--certificates"]) == 10
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in said[:2]] == ["HOLDS", "VIOLATED"]
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text(encoding="utf-8").splitlines()]
    x = lines[1]["witness"]
    wide = load("net.npz")
    assert lines[1]["outputs"] == [reference.run(wide, x), run_wrapped(wide, {0: 7}, x)]
    assert main(["check", "out", "--inputs", "x.npy"]) == 0
    assert main(["agree", "net.npz", "--other-accumulator", "8", *around]) == 0
    assert main(["agree", "net.npz", "--accumulator", "7", "--other-accumulator", "7", *around]) == 0
    capsys.readouterr()
    for samples, code in (("0", 0), ("1", 10)):
        assert main(["agree", "net.npz", "--other-accumulator", "7", *around, "--samples", samples, "--print"]) == 0
        Path("asked.toml").write_text(capsys.readouterr().out, encoding="utf-8")
        assert 'accumulator = "7"' in Path("asked.toml").read_text(encoding="utf-8")
        assert main(["verify", "asked.toml"]) == code
        capsys.readouterr()
    assert main(["agree", "net.npz"]) == 2
    assert "--other-accumulator" in capsys.readouterr().err


def test_other_commands_with_narrower_accumulators(capsys):
    assert main(["run", "net.npz", "--inputs", "x.npy", "--accumulator", "7"]) == 0
    assert main(["verify", "net.npz", "--inputs", "x.npy", "--eps", "1", "--accumulator", "7", "--out", "out", "--certificates"]) in (0, 10)
    assert main(["check", "out"]) == 0
    assert main(["check", "out", "--network", "net.npz", "--accumulator", "7"]) == 0
    assert main(["check", "out", "--network", "net.npz"]) == 20
    capsys.readouterr()
    assert main(["inspect", "net.npz", "--accumulator", "7"]) == 0
    assert "dense.cast" in capsys.readouterr().out
    assert main(["overflow", "net.npz", "--accumulator", "x"]) == 2
