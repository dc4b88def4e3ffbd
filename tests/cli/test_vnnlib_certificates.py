"""Certificates of VNN-LIB: check makes the query again from its file and its networks' files, and refuses whatever is about others."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from forge import Parts
from onnx import TensorProto, helper, numpy_helper
from onnx_files import f32, halves

import qbitsat
from qbitsat.cli.main import main

V2 = "(vnnlib-version <2.0>)\n"
ONE = "(declare-network f (declare-input X uint8 [1,2]) (declare-output Y uint8 [1,2]))\n"
TWO = ONE + "(declare-network g (equal-to f) (declare-input A uint8 [1,2]) (declare-output B uint8 [1,2]))\n"
OTHER = ONE + "(declare-network g (declare-input A uint8 [1,2]) (declare-output B uint8 [1,2]))\n"
HIDDEN = ONE.replace("(declare-out", '(declare-hidden H uint8 [1,2] "t0") (declare-out')
FLOATS = ONE.replace("uint8", "float32")
FLAT = "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)\n"
# Within one integer's floats, of which some satisfy a part: so there are several disjuncts.
PARTS = "(assert (and (>= X[0,0] 3.2) (<= X[0,0] 3.3) (== X[0,1] 1.0)))(assert (or {}))"
SMALL, LARGE = (f"(and (<= X[0,0] 3.21) ({op} Y[0,0] 2.0))" for op in ("<", ">="))
# Text, options, exit code.
QUERIES = {
    "sat": (V2 + ONE + "(assert (and (== X[0,0] 7) (== X[0,1] 2) (>= Y[0,0] 1)))", ("f=f.onnx",), 10),
    "unsat": (V2 + ONE + "(assert (and (<= X[0,0] 7) (>= Y[0,0] 5)))", ("f.onnx",), 0),
    "nothing": (V2 + ONE + "(assert (and (<= X[0,0] 7) (>= X[0,0] 300)))", ("f=f.onnx",), 0),
    "disjuncts": (V2 + FLOATS + PARTS.format(f"{SMALL} (> X[0,0] 3.3)"), ("f=h.onnx",), 0),
    "disjunct": (V2 + FLOATS + PARTS.format(f"{SMALL} {LARGE}"), ("f=h.onnx",), 10),
    "equal": (V2 + TWO + "(assert (and (== X[0,0] A[0,0]) (== X[0,1] A[0,1])))(assert (!= Y[0,0] B[0,0]))", ("f=f.onnx",), 0),
    "two": (V2 + OTHER + "(assert (and (== X[0,0] A[0,0]) (== X[0,1] A[0,1]) (< Y[0,1] B[0,1])))", ("f=f.onnx", "g=g.onnx"), 10),
    "hidden": (V2 + HIDDEN + "(assert (< H[0,0] Y[0,0]))", ("f=f.onnx",), 0),
    "flat": (FLAT + "(assert (<= X_0 7))(assert (>= Y_0 5))", ("f.onnx",), 0),
    "grid": (
        V2 + FLOATS + "(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X[0,1] 0.0) (<= X[0,1] 1.0) (> Y[0,1] 0.5)))",
        ("f=e.onnx",),
        0,
    ),
}
OPTIONS = {"grid": ("--grid", "1"), "two": ("--runtime", "onnxruntime-novnni")}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """f.onnx and g.onnx are of uint8, g with another weight; h.onnx is f with floats on both sides, scale 1/2; e.onnx has exact floats."""
    monkeypatch.chdir(tmp_path)
    for name in "fgh":
        Path(f"{name}.onnx").write_bytes(halves([[1, 0], [-1, 2 if name == "g" else 1]], floats=name == "h"))
    # y_1 = x_0 x_1 for bits: relu(x_0 + x_1 - 1) - 1, which is 0 at most.
    weights, bias = np.array([[1, 1], [1, 1]], f32), np.array([0, -2], f32)
    initializers = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "xy"]
    graph = helper.make_graph(nodes, "e", ends[:1], ends[1:], initializers)
    Path("e.onnx").write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString())


def networks(kind: str) -> list[str]:
    return [word for file in QUERIES[kind][1] for word in ("--network", file)]


def ask(kind: str, *more: str) -> dict:
    """The line of a query."""
    text, _, code = QUERIES[kind]
    Path("q.vnnlib").write_text(text, encoding="utf-8")
    options = OPTIONS.get(kind, ())
    assert main(["verify", "q.vnnlib", *networks(kind), *options, "--out", "out", "--certificates", "--overwrite", *more]) == code
    return json.loads(Path("out/results.jsonl").read_text(encoding="utf-8"))


def checked(capsys, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["check", "out", *more])
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("kind", QUERIES)
def test_all_answers_are_proved(kind, capsys):
    line = ask(kind)
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == ("sat" if QUERIES[kind][2] else "unsat")
    assert "results in out/results.jsonl" in said.err
    assert (line["verdict"], line["assignment"] is None) == (("VIOLATED", False) if QUERIES[kind][2] else ("HOLDS", True))
    code, printed = checked(capsys, "-v")
    assert (code, "1 accepted" in printed, f"q.vnnlib is {said.out.split()[0]}" in printed) == (0, True, True), printed
    for name, values in (line["assignment"] or {}).items():
        assert f"{name} = {', '.join(map(str, values))}" in printed
    named = [word if "=" in word or word == "--network" else f"{next(iter(line['networks']))}={word}" for word in networks(kind)]
    runtime = () if kind == "grid" else OPTIONS.get(kind, ())
    assert "as a certificate names it" in printed
    code, printed = checked(capsys, *named, *runtime)
    assert (code, "as a certificate names it" in printed) == (0, False), "the files are given"
    # Wherever the files are.
    Path("moved").mkdir()
    for path in (Path("out"), *Path().glob("*.onnx"), Path("q.vnnlib")):
        shutil.move(path, "moved/" if path.name == "out" else "moved/out/")
    assert main(["check", "moved/out"]) == 0


def test_networks_that_are_given(capsys):
    ask("two")
    assert checked(capsys, "--network", "f=f.onnx", "--network", "g=g.onnx")[0] == 20, "another runtime"
    swapped = ("--network", "f=g.onnx", "--network", "g=f.onnx", "--runtime", "onnxruntime-novnni")
    code, said = checked(capsys, *swapped)
    assert (code, "g.onnx, network f, has hash" in said) == (20, True)
    code, said = checked(capsys, "--network", "f=f.onnx", "--runtime", "onnxruntime-novnni")
    assert (code, "is about networks f, g, expected f" in said) == (20, True)
    assert checked(capsys, "--network", "f.onnx", "--network", "g.onnx", "--runtime", "onnxruntime-novnni")[0] == 0
    code, said = checked(capsys, "--network", "f.onnx", "--runtime", "onnxruntime-novnni")
    assert (code, "network g has hash" in said) == (20, True)
    assert checked(capsys, "--network", "f=none.onnx", "--network", "g=g.onnx", "--runtime", "onnxruntime-novnni")[0] == 2
    assert checked(capsys, "--network", "f=f.onnx", "--network", "f=g.onnx")[0] == 2


@pytest.mark.parametrize("kind", [kind for kind in QUERIES if kind != "hidden"])
def test_files_need_no_names(kind, capsys):
    ask(kind)
    files = [word.rpartition("=")[2] for word in networks(kind)]
    assert checked(capsys, *files, *(() if kind == "grid" else OPTIONS.get(kind, ())))[0] == 0


def test_a_float_network_needs_no_name(capsys):
    """It is the one of VNN-LIB queries, and nothing else is about it."""
    ask("grid")
    shutil.copy("e.onnx", "moved.onnx")
    code, said = checked(capsys, "--network", "moved.onnx")
    assert (code, "is moved.onnx (" in said, "inputs k / 1 alone" in said) == (0, True, True)
    data = Path("e.onnx").read_bytes()
    Path("moved.onnx").write_bytes(data.replace(b"\0\0\x80\x3f", b"\0\0\0\x40", 1))
    code, said = checked(capsys, "--network", "moved.onnx")
    assert (code, "moved.onnx, network f, has hash" in said) == (20, True)
    assert checked(capsys, "--network", "e.onnx", "--runtime", "onnxruntime-novnni")[0] == 20
    assert checked(capsys, "--network", "e.onnx", "--bits", "8")[0] == 2
    for more in ("f=e.onnx", "f.onnx"):
        code, said = checked(capsys, "--network", "e.onnx", "--network", more)
        assert (code, "a float network" in said, "--network NAME=FILE, if a VNN-LIB query" in said) == (2, True, True)
    ask("two")
    code, said = checked(capsys, "--network", "e.onnx")
    assert (code, "is about networks f, g, expected --network NAME=FILE for each" in said) == (20, True)
    ask("sat")
    assert checked(capsys, "--network", "e.onnx")[0] == 20


def test_a_float_network_has_no_other_certificates(capsys):
    np.save("x.npy", np.array([[[7, 2]]]))
    said = "is no VNN-LIB query, expected one about e.onnx, a float model"
    for words in (["verify", "f.onnx", "--inputs", "x.npy", "--eps", "0,1"], ["range", "f.onnx", "--inputs", "x.npy", "--eps", "1"]):
        assert main([*words, "--out", "out", "--certificates", "--overwrite"]) in (0, 10)
        code, printed = checked(capsys, "--network", "e.onnx")
        assert (code, said in printed, " 0 accepted" in printed) == (20, True, True), printed
    np.save("y.npy", np.array([1]))
    assert main(["verify", "f.onnx", "--inputs", "x.npy", "--labels", "y.npy", "--eps", "0", "--out", "out", "--overwrite"]) in (0, 5, 10)
    code, printed = checked(capsys, "--network", "e.onnx", "--inputs", "x.npy", "--labels", "y.npy")
    assert (code, said in printed, " 0 accepted" in printed) == (20, True, True), printed


def test_hidden_variables_need_a_name(capsys):
    ask("hidden")
    code, said = checked(capsys, "--network", "f.onnx")
    assert (code, "or --network f=FILE" in said) == (20, True)


@pytest.mark.parametrize(
    ("kind", "changed", "said"),
    [
        ("sat", {"verdict": "HOLDS"}, "says HOLDS, the certificate VIOLATED"),
        ("unsat", {"verdict": "VIOLATED"}, "says VIOLATED, the certificate HOLDS"),
        ("sat", {"sha256": "0" * 64}, "another sha256"),
        ("sat", {"file": "other.vnnlib"}, "another file"),
        ("sat", {"files": {}}, "another files"),
        ("sat", {"runtime": "onnxruntime-novnni"}, "another runtime"),
        ("grid", {"grid": 2}, "another grid"),
        ("grid", {"grid": None}, "another grid"),
        ("sat", {"networks": {"f": "0" * 64}}, "other networks"),
        ("sat", {"networks": {}}, "other networks"),
        ("sat", {"assignment": {"X": [7, 2], "Y": [2, 0]}}, "another assignment"),
        ("sat", {"assignment": {"X": [7.0, 2], "Y": [2, 1]}}, "another assignment"),
        ("sat", {"assignment": None}, "another assignment"),
        ("unsat", {"assignment": {"X": [7, 2]}}, "another assignment"),
        ("disjunct", {"assignment": {"X": [3.25, 1.0], "Y": [2.0, 0.0]}}, "another assignment"),
        ("sat", {"kind": "question", "question": "q.vnnlib"}, "no question that there is"),
    ],
)
def test_lines_that_are_forged(kind, changed, said, capsys):
    line = ask(kind)
    Path("out/results.jsonl").write_text(json.dumps({**line, **changed}) + "\n")
    code, printed = checked(capsys)
    assert (code, said in printed) == (20, True), printed


def test_two_networks_that_change_names(capsys):
    line = ask("two")
    names = {"f": line["networks"]["g"], "g": line["networks"]["f"]}
    Path("out/results.jsonl").write_text(json.dumps({**line, "networks": names}) + "\n")
    code, said = checked(capsys)
    assert (code, "other networks" in said) == (20, True)


@pytest.mark.parametrize(
    "changed",
    [
        {"files": []},
        {"sha256": None},
        {"file": 3},
        {"assignment": [1]},
        {"grid": "1"},
        {"networks": None},
        {"certificates": [1]},
        {"verdict": 0},
    ],
)
def test_lines_that_are_damaged(changed, capsys):
    line = ask("sat")
    Path("out/results.jsonl").write_text(json.dumps({**line, **changed}) + "\n")
    code, said = checked(capsys)
    assert (code, "Traceback" in said) == (2, False)


def test_answers_without_certificates_are_not_checked(capsys):
    line = ask("unsat", "--no-certificates")
    assert line["certificates"] == [None]
    code, said = checked(capsys)
    assert (code, "vnnlib, verdict: without a certificate" in said) == (5, True)
    assert main(["verify", "q.vnnlib", "--network", "f.onnx", "--certificates"]) == 2
    assert main(["verify", "q.vnnlib", "--network", "f.onnx", "--out", "out"]) == 2


def changed_header(change) -> None:
    path = Path("out/certificates/q.cert")
    parts = Parts(path)
    change(parts)
    parts.save(path)


def asks(**changed):
    def change(parts: Parts) -> None:
        parts.header["query"] |= changed

    return change


def without_a_disjunct(parts: Parts) -> None:
    """As a general query, from which one of two parts is left out."""
    parts.header["query"] = {"kind": "general", "violation": {"or": []}}
    parts.header["networks"][0]["path"] = "h.onnx"
    parts.arrays |= {"box.0.lo": np.array([6, 2]), "box.0.hi": np.array([6, 2])}


def of_another_box(parts: Parts) -> None:
    parts.arrays |= {"box.0.lo": np.array([0, 0]), "box.0.hi": np.array([1, 1])}


def swapped(parts: Parts) -> None:
    parts.header["verdict"] = "VIOLATED" if parts.header["verdict"] == "HOLDS" else "HOLDS"


def of_another_network(parts: Parts) -> None:
    parts.header["networks"][0]["sha256"] = "0" * 64


def renamed(parts: Parts) -> None:
    query = parts.header["query"]
    (file,) = query["files"].values()
    query["files"] = {"g": file}


FILES = {"f": {"path": "f.onnx", "sha256": "0" * 64}}


@pytest.mark.parametrize(
    ("kind", "change", "code", "said"),
    [
        ("sat", swapped, 20, "the verdict is 'HOLDS'"),
        ("unsat", swapped, 20, "the verdict is 'VIOLATED'"),
        ("disjunct", without_a_disjunct, 20, ""),
        ("disjuncts", without_a_disjunct, 20, "is about a VNN-LIB file, the certificate is not"),
        ("unsat", of_another_box, 2, "array 'box.0.hi' has no meaning"),
        ("unsat", of_another_network, 20, "another network than q.vnnlib makes"),
        ("unsat", asks(sha256="0" * 64), 20, "q.vnnlib has hash"),
        ("unsat", asks(files=FILES), 20, "f.onnx, network f, has hash"),
        ("unsat", renamed, 2, "network: g is none of q.vnnlib"),
        ("flat", renamed, 20, "is about networks g, q.vnnlib has network"),
        ("unsat", asks(files={}), 2, "0 files"),
        ("unsat", asks(files={f"f{k}": FILES["f"] for k in range(101)}), 2, "101 files"),
        ("unsat", asks(files={"f": {**FILES["f"], "path": "a\0b"}}), 2, "printable"),
        ("unsat", asks(files={"f": {**FILES["f"], "path": "a%00b"}}), 2, "can't be read"),
        ("unsat", asks(files={"f": {**FILES["f"], "path": "."}}), 2, "not a regular file"),
        ("unsat", asks(files={"f": {**FILES["f"], "path": "q.vnnlib"}}), 20, "q.vnnlib, network f, has hash"),
        ("unsat", asks(files={"f": "f.onnx"}), 2, "expected an object"),
        ("unsat", asks(file="f.onnx"), 20, "f.onnx has hash"),
        ("unsat", asks(file="none.vnnlib"), 2, "none.vnnlib: can't be read"),
        ("unsat", asks(file="/dev/zero"), 2, "not a regular file"),
        ("unsat", asks(grid=4), 20, "says grid 4, expected None"),
        ("unsat", asks(runtime="tflm"), 2, "runtime"),
        ("unsat", asks(runtime="onnxruntime-int8"), 20, "another runtime"),
        ("unsat", asks(more=1), 2, "'more' is unknown"),
        ("grid", asks(grid=None), 2, "a float network"),
        ("grid", asks(grid=2), 20, "which has hash"),
        ("grid", asks(grid=0), 2, "a grid of 0"),
        ("grid", asks(grid=-4), 2, "a grid of -4"),
        ("grid", asks(grid=1 << 62), 2, ""),
    ],
)
def test_certificates_that_are_forged(kind, change, code, said, capsys):
    ask(kind)
    changed_header(change)
    found, printed = checked(capsys)
    assert (found, said in printed, "Traceback" in printed) == (code, True, False), printed


def test_the_query_that_must_be_answered(capsys):
    """By the hash in the certificate, whatever the name; --network FILE is independent of it."""
    ask("unsat")
    text = Path("q.vnnlib").read_text()
    Path("mine.vnnlib").write_text(text)
    Path("q.vnnlib").unlink()
    assert checked(capsys)[0] == 2
    for more in ((), ("--network", "f=f.onnx")):
        code, said = checked(capsys, "--question", "mine.vnnlib", *more)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        assert (code, said.splitlines()[0]) == (0, f"question     mine.vnnlib (sha256 {sha256})")
    assert main(["check", "out/certificates/q.cert", "--question", "mine.vnnlib"]) == 0
    for other in (text + " ", "no query at all"):
        Path("mine.vnnlib").write_text(other)
        code, said = checked(capsys, "--question", "mine.vnnlib")
        assert (code, "mine.vnnlib has hash" in said) == (20, True)
    assert qbitsat.check("out/certificates/q.cert", question="mine.vnnlib").outcome == "refused"
    Path("mine.vnnlib").write_text(text)
    assert qbitsat.check("out/certificates/q.cert", question="mine.vnnlib").accepted


def test_files_that_are_changed_after_the_answer(capsys):
    ask("unsat")
    text = Path("q.vnnlib").read_text()
    # Easier, harder, or the same in other words.
    for new in (text.replace("7", "5"), text.replace("5", "3"), text + " "):
        Path("q.vnnlib").write_text(new)
        code, said = checked(capsys)
        assert (code, "q.vnnlib has hash" in said) == (20, True)
    Path("q.vnnlib").write_text("no query at all")
    code, said = checked(capsys)
    assert (code, "q.vnnlib has hash" in said) == (20, True)
    Path("q.vnnlib").write_text(text)
    # Of the same shape, of other types, and no network at all.
    for other in ("g.onnx", "e.onnx", "q.vnnlib"):
        code, said = checked(capsys, "--network", f"f={other}")
        assert (code, f"{other}, network f, has hash" in said) == (20, True)
        shutil.copy(other, "f.onnx")
        code, said = checked(capsys)
        assert (code, "f.onnx, network f, has hash" in said) == (20, True)
    Path("f.onnx").unlink()
    code, said = checked(capsys)
    assert (code, "f.onnx: can't be read" in said) == (2, True)


def test_a_certificate_of_another_query(capsys):
    """One that is unsat, under the line and with the file's hash of one that is sat."""
    ask("unsat")
    easy = Path("out/certificates/q.cert").read_bytes()
    line = ask("sat")
    Path("out/certificates/q.cert").write_bytes(easy)
    Path("out/results.jsonl").write_text(json.dumps({**line, "verdict": "HOLDS", "assignment": None}) + "\n")
    code, said = checked(capsys)
    assert (code, "q.vnnlib has hash" in said) == (20, True)
    changed_header(asks(sha256=line["sha256"]))
    code, said = checked(capsys)
    assert (code, "0 accepted" in said) == (20, True)


def test_a_certificate_alone(capsys):
    ask("unsat")
    capsys.readouterr()
    assert main(["check", "out/certificates/q.cert", "-v"]) == 0
    said = capsys.readouterr().out
    assert "q.vnnlib is unsat: no numbers satisfy it" in said
    assert "file q.vnnlib" in said
    assert main(["check", "out/certificates/q.cert", "--network", "f=g.onnx"]) == 20
    assert main(["check", "out/certificates/q.cert", "--inputs", "none.npy"]) in (2, 20)


def test_no_time_has_a_line_that_claims_nothing(capsys):
    Path("q.vnnlib").write_text(QUERIES["sat"][0])
    ask("sat")
    code = main(["verify", "q.vnnlib", "--network", "f.onnx", "--out", "out", "--overwrite", "--engine", "sat", "--conflicts", "1"])
    assert code in (0, 5, 10)
    line = json.loads(Path("out/results.jsonl").read_text())
    assert not list(Path("out/certificates").glob("*.cert"))
    assert checked(capsys)[0] == 5
    assert line["kind"] == "vnnlib"
