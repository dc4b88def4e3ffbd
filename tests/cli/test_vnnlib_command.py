"""verify QUERY.vnnlib and supports: the standard's form, exit codes, errors."""

import json
import re
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper
from onnx_files import f32, halves

from qbitsat.cli.main import main

HEAD = """(vnnlib-version <2.0>)
(declare-network f (declare-input X uint8 [1,2]) (declare-output Y uint8 [1,2]))
"""
TWO = HEAD + "(declare-network g (equal-to f) (declare-input A uint8 [1,2]) (declare-output B uint8 [1,2]))\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """f.onnx: y = (x_0 - x_1, x_1) / 2 of uint8, ties to even; h.onnx: the same with floats on both sides, scale 1/2."""
    monkeypatch.chdir(tmp_path)
    for name in "fh":
        Path(f"{name}.onnx").write_bytes(halves([[1, 0], [-1, 1]], floats=name == "h"))


def ask(text: str, *arguments: str, network: str = "f=f.onnx") -> int:
    Path("q.vnnlib").write_text(text, encoding="utf-8")
    return main(["verify", "q.vnnlib", *(("--network", network) if network else ()), *arguments])


def test_assignment_is_in_the_standards_form(capsys):
    assert ask(HEAD + "(assert (and (== X[0,0] 7) (== X[0,1] 2) (>= Y[0,0] 1)))") == 10
    assert capsys.readouterr().out == "sat\nX uint8 [1,2]\n7\n2\nY uint8 [1,2]\n2\n1\n"


def test_export_and_compare(capsys):
    text = HEAD + "(assert (and (== X[0,0] 7) (== X[0,1] 2) (>= Y[0,0] {})))"
    for least, verdict in ((1, "VIOLATED"), (200, "HOLDS")):
        Path("q.vnnlib").write_text(text.format(least), encoding="utf-8")
        for form, suffix in (("dimacs", "cnf"), ("smt2", "smt2")):
            assert main(["export", "q.vnnlib", "--network", "f=f.onnx", "--format", form, "--out", f"q{least}.{suffix}"]) == 0
            assert Path(f"q{least}.{suffix}").stat().st_size > 0
        assert main(["compare", "q.vnnlib", "--network", "f.onnx", "--no-bounds", "--out", f"out{least}"]) == 0
        runs = json.loads(Path(f"out{least}/compare.json").read_text())["runs"]
        assert [(run["question"], run["verdict"]) for run in runs] == [("q", verdict)] * 2
    assert main(["export", "q.vnnlib", "--network", "g=f.onnx", "--out", "x.cnf"]) == 2


def test_unsat_and_nothing_allowed(capsys):
    assert ask(HEAD + "(assert (and (<= X[0,0] 7) (>= Y[0,0] 5)))") == 0
    assert capsys.readouterr().out == "unsat\n"
    assert ask(HEAD + "(assert (and (<= X[0,0] 7) (>= X[0,0] 300)))") == 0
    said = capsys.readouterr()
    assert said.out == "unsat\n"
    assert "no input is allowed by the query" in said.err


def test_equal_networks_share_inputs_that_are_equal(capsys):
    linked = "(assert (and (== X[0,0] A[0,0]) (== X[0,1] A[0,1])))"
    assert ask(TWO + linked + "(assert (!= Y[0,0] B[0,0]))") == 0
    assert ask(TWO + "(assert (and (== X[0,1] A[0,1]) (< X[0,0] A[0,0]) (> Y[0,0] B[0,0])))") == 0
    assert ask(TWO + "(assert (and (== X[0,1] A[0,1]) (< X[0,0] A[0,0]) (== Y[0,0] B[0,0] ) (> Y[0,0] 3)))") == 10
    assert capsys.readouterr().out.splitlines()[:3] == ["unsat", "unsat", "sat"]


def test_floats_outside_and_files_of_tensors(capsys):
    head = HEAD.replace("uint8", "float32")
    # 3.25 is 6.5 steps: to even it becomes 6, which is 3.0, and any float above it 7, which is 3.5 and gives 4.
    assert ask(head + "(assert (and (>= X[0,0] 3.2) (<= X[0,0] 3.25) (<= X[0,1] -1.0) (>= Y[0,0] 4.0)))", network="f=h.onnx") == 0
    arguments = ("--serialise-assignments", "out")
    assert (
        ask(head + "(assert (and (> X[0,0] 3.25) (<= X[0,0] 3.26) (<= X[0,1] -1.0) (>= Y[0,0] 2.0)))", *arguments, network="h.onnx") == 10
    )
    assert capsys.readouterr().out == "unsat\nsat\n"
    arrays = {path.stem: numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) for path in Path("out").iterdir()}
    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {"X": (f32, (1, 2)), "Y": (f32, (1, 2))}
    assert 3.25 < arrays["X"][0, 0] <= f32(3.26)
    assert arrays["Y"].tolist() == [[4.0, 0.0]]


def test_sums_of_integers_do_not_wrap(capsys):
    assert ask(HEAD + "(assert (>= (+ X[0,0] X[0,1]) 510))") == 10
    said = capsys.readouterr()
    assert said.out.startswith("sat\nX uint8 [1,2]\n255\n255\n")
    assert "q.vnnlib:3:9: sums of integers are the whole numbers that they are" in said.err


def test_no_time(bench_data, capsys):
    files = [str(bench_data / "satrelu" / f"unsat_v91_c222{ending}") for ending in (".vnnlib", ".onnx")]
    assert main(["verify", files[0], "--network", files[1], "--grid", "1", "--timeout", "0.1", "--engine", "hybrid"]) == 5
    assert capsys.readouterr().out == "timed-out\n"


FLAT = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)\n"


def test_version_1(capsys):
    assert ask(FLAT + "(assert (<= X_0 7))(assert (and (>= X_0 6.5) (>= X_1 2) (<= X_1 2.5)))(assert (>= Y_0 Y_1))", network="f.onnx") == 10
    assert capsys.readouterr().out == "sat\n((X_0 7)\n (X_1 2)\n (Y_0 2)\n (Y_1 1))\n"


def test_satrelu_on_grids(bench_data, capsys):
    for name, grid, code in (("sat_v3_c9", 1, 10), ("sat_v3_c9", 256, 10), ("unsat_v2_c4", 1, 0), ("unsat_v2_c4", 4, 0)):
        files = [str(bench_data / "satrelu" / f"{name}{ending}") for ending in (".vnnlib", ".onnx")]
        assert main(["verify", files[0], "--network", files[1], "--grid", str(grid)]) == code
        assert f"inputs are k / {grid} alone" in capsys.readouterr().err


def test_float_networks_are_refused_with_what_to_do(bench_data, capsys):
    files = [str(bench_data / "satrelu" / f"sat_v3_c9{ending}") for ending in (".vnnlib", ".onnx")]
    assert main(["verify", files[0], "--network", files[1]]) == 2
    assert "a float network; quantize it first, with qbitsat quantize" in capsys.readouterr().err
    acas = str(bench_data / "onnx" / "ACASXU_experimental_v2a_1_1.onnx"), str(bench_data / "vnncomp" / "acasxu_prop_1.vnnlib")
    assert main(["verify", acas[1], "--network", acas[0], "--grid", "256"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "network", "message"),
    [
        ("", "", "", "q.vnnlib: network f has no file; expected --network f=FILE"),
        ("", "", "g=f.onnx", "--network: g is none of q.vnnlib; expected f=FILE"),
        ("", "", "f=", "--network: 'f=', expected NAME=FILE, each name once"),
        ("", "", "f=none.onnx", "none.onnx: can't be read: No such file or directory"),
        ("", "", "f=q.vnnlib", "q.vnnlib: no .onnx, expected one"),
        ("X uint8", "X int8", "f=f.onnx", "q.vnnlib:2:20: X is declared as int8, but f.onnx has uint8 there"),
        ("X uint8 [1,2]", "X uint8 [2]", "f=f.onnx", "q.vnnlib:2:20: X is declared with shape [2], but f.onnx has [1, 2] there"),
        ("(declare-out", "(declare-input W uint8 [2]) (declare-out", "f=f.onnx", "q.vnnlib:2:1: network f declares 2 inputs, f.onnx has 1"),
        ("(declare-out", '(declare-hidden W uint8 [2] "w") (declare-out', "f=f.onnx", "f.onnx: has no tensor 'w' that a node gives"),
        ("Y[0,0] 1", "Y[0,0] X[0,5]", "f=f.onnx", "q.vnnlib:3:20: X[0, 5], but its shape is [1, 2]"),
    ],
)
def test_bad_input_is_one_line(old, new, network, message, capsys):
    text = (HEAD + "(assert (>= Y[0,0] 1))").replace(old, new, 1)
    assert ask(text, network=network) == 2
    assert capsys.readouterr().err == f"qbitsat: error: {message}\n"


def test_supports(capsys):
    found = {}
    for name in ("vnnlib-versions", "onnx-opset-versions", "serialise-assignments", "onnx-element-types", "multiple-network-theories"):
        assert main(["supports", f"--{name}"]) == 0
        found[name] = capsys.readouterr().out
    assert found["vnnlib-versions"] == "1.0\n2.0\n"
    assert re.fullmatch(r"\d+\n\d+\n", found["onnx-opset-versions"])
    assert found["serialise-assignments"] == "true\n"
    assert {"int8", "uint8"} <= set(found["onnx-element-types"].split())
    assert found["multiple-network-theories"].split() == ["SNET", "MENET", "MINET", "MNET"]
    assert main(["supports"]) == 2


def test_name(capsys):
    with pytest.raises(SystemExit):
        main(["--name"])
    assert capsys.readouterr().out == "qbitsat\n"
