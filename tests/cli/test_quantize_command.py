"""`quantize` and `bits` as commands: what they print, write and refuse."""

import json

import numpy as np
import pytest

import qbitsat
from qbitsat import examples
from qbitsat.cli.main import main
from qbitsat.network import classify

MODEL, IMAGES, LABELS = map(str, (examples.float_path(), examples.images_path(), examples.labels_path()))
QUANTIZE = ["quantize", MODEL, "--format", "paper:6,3,input=u5.4"]
CALIBRATION = ["--calibration", IMAGES, "--unit", "1/16", "--labels", LABELS]
BITS = ["bits", MODEL, "--inputs", IMAGES, "--labels", LABELS, "--eps", "1", "--format", "paper:B,input=u5.4"]


def test_the_network_is_written_and_what_is_lost_is_told(tmp_path, capsys):
    out = tmp_path / "digits.npz"
    assert main([*QUANTIZE, *CALIBRATION, "--out", str(out)]) == 0
    header, first, second, remark, accuracy, written = capsys.readouterr().out.splitlines()
    assert header.split() == ["layer", "formats", "step", "clipped", "became", "0", "max", "error", "mean", "error"]
    assert first.startswith("dense    weights s6.3, bias s6.3, output s6.3  0.125  0+0")
    assert second.startswith("dense_1")
    assert remark == "quantized to paper:6,3,input=u5.4"
    assert written == f"network in {out}"
    network, images, labels = qbitsat.load(out), np.load(IMAGES).reshape(50, -1), np.load(LABELS)
    right = (classify(network, images.astype(np.int64)) == labels).mean()
    assert accuracy == f"accuracy on 50 samples: float 0.9400, quantized {right:.4f}"
    assert main([*QUANTIZE, "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*QUANTIZE, "--out", str(out), "--overwrite"]) == 0


@pytest.mark.parametrize("text", ["int8:xnnpack", "power-of-two:8,per-channel", "ap_fixed<16,6>"])
def test_all_formats_are_accurate_enough(text, capsys):
    assert main(["quantize", MODEL, "--format", text, *CALIBRATION]) == 0
    assert float(capsys.readouterr().out.split("quantized ")[-1]) >= 0.9


@pytest.mark.parametrize(("unit", "said"), [([], "whole numbers from 0 to 16 are taken"), (["--unit", "1/16"], ""), (["--unit", "1"], "")])
def test_units_are_asked_for_where_they_may_be_others(unit, said, capsys):
    assert main(["quantize", MODEL, "--format", "int8", "--calibration", IMAGES, *unit]) == 0
    told = capsys.readouterr().err
    assert said in told if said else told == ""


@pytest.mark.parametrize(("limit", "reason"), [(["--timeout", "0.001"], "timeout"), (["--memory", "0.001"], "memory")])
def test_limits_of_quantizing(tmp_path, capsys, limit, reason):
    assert main([*QUANTIZE, *CALIBRATION, *limit, "--out", str(tmp_path / "n.npz")]) == 5
    assert capsys.readouterr().out.startswith(f"not quantized: {reason} after 0.")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quantize", MODEL], "the following arguments are required: --format"),
        (["quantize", MODEL, "--format", "papr:8"], "did you mean 'paper'"),
        (["quantize", MODEL, "--format", "int8"], "scales come from calibration data, expected some (--calibration FILE)"),
        (["quantize", MODEL, "--format", "power-of-two:8"], "its range is not known, expected calibration data (--calibration FILE)"),
        (["quantize", MODEL, "--format", "paper:8,5,bias=1"], "layer 'dense': biases: 15 of 16 from -0.102217 to 0.937196 do not fit s1.5"),
        ([*QUANTIZE, "--labels", LABELS], "expected --calibration FILE as well"),
        ([*QUANTIZE, "--calibration", LABELS], "--calibration: shape (50,)"),
        ([*QUANTIZE, "--out", "network.txt"], "expected a file that ends in .npz"),
        ([*QUANTIZE, "--method", "percentile:5"], "expected a percentile from 50 to 100"),
        ([*QUANTIZE, "--unit", "0"], "expected a positive number"),
        (["quantize", str(examples.tflite_path()), "--format", "paper:8"], "no float model"),
        (["quantize", str(examples.network_path()), "--format", "paper:8"], "a network of integers (.npz), no float model"),
        ([*BITS, "--target", "90"], "expected a part of the samples from 0 to 1"),
        ([*BITS, "--widths", "9:4"], "expected a:b with a below b"),
        ([*BITS, "--resume"], "needs --out DIR"),
        ([*BITS, "--certificates"], "needs --out DIR"),
        ([*BITS, "--format", "paper:8"], "expected B where"),
    ],
)
def test_bad_usage_is_one_line(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_samples_outside_of_the_input_are_noted(capsys):
    assert main([*QUANTIZE, "--calibration", IMAGES]) == 0
    said = capsys.readouterr().err
    assert said == (
        f"qbitsat: note: {IMAGES}: values from 0 to 16, but the input holds 0 to 1.9375 and clips what is outside; is --unit right?\n"
    )
    assert main([*QUANTIZE, "--calibration", IMAGES, "--unit", "1/16"]) == 0
    assert capsys.readouterr().err == ""


def test_bits_prints_a_table_and_writes_all_of_it(tmp_path, capsys):
    out = tmp_path / "out"
    command = [*BITS, "--widths", "5,8", "--samples", "0:12", "--out", str(out)]
    assert main([*command, "--target", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["paper:5,input=u5.4", "paper:8,input=u5.4"]
    assert lines[3].split()[:3] == ["bits", "format", "accuracy"]
    found = json.loads((out / "bits.json").read_text())
    assert found["answer"]["text"] in lines
    assert (out / "bits.png").stat().st_size > 10_000
    assert len((out / "8-bits" / "results.jsonl").read_text().splitlines()) == 12
    assert main([*command, "--target", "0.5"]) == 2
    assert main([*command, "--target", "1", "--resume", "--quiet"]) == 10
    last = capsys.readouterr().out.splitlines()
    assert any(line.startswith("there is no width here for which 1 of the samples are robust; certainly not: 5, 8") for line in last)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([], "inputs: whole numbers from 0 to 16 are taken for steps of the input, 0 to 0.0625 where it holds 0 to 0.996094"),
        (["--format", "paper:B,input=u5.4"], ""),
        (["--unit", "1/16"], ""),
        (["--unit", "1"], "inputs: values from 0 to 16, but the input holds 0 to 0.996094"),
        (
            ["--format", "power-of-two:B,input=u5.4", "--calibration", IMAGES],
            "calibration data: values from 0 to 16, but the input holds 0 to 1.9375",
        ),
    ],
)
def test_bits_asks_for_units_as_quantize_does(change, said, capsys):
    command = [*BITS[:-2], "--widths", "7", "--samples", "0:1", "--target", "0", *change]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"qbitsat: note: {said}") if said else told == ""
    assert told.count("\n") == bool(said)


def test_bits_goes_on_where_biases_do_not_fit(capsys):
    command = [*BITS[:-1], "paper:B,3,bias=B-2,input=u5.4", "--widths", "4:6", "--samples", "0:2", "--target", "0"]
    assert main(command) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("qbitsat: note: layer 'dense': biases: 9 of 16")


def test_real_inputs_take_a_unit(capsys):
    command = [*BITS[:-1], "power-of-two:B", "--unit", "1/16", "--widths", "8", "--samples", "0:6", "--target", "0.2", "--quiet"]
    assert main(command) == 0
    assert "power-of-two:8" in capsys.readouterr().out
