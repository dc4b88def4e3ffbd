"""Queries about several networks of integers, with hidden tensors and inputs that are linked, against enumeration in ONNX Runtime."""

import itertools
from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_files import Model, session
from vnnlib_certified import certified
from vnnlib_oracle import holds, tree

from qbitsat.errors import QbitsatError
from qbitsat.properties.vnnlib import bind, read_text

NAMES = (("X", "H", "Y"), ("A", "G", "B"))
SHAPES = {"X": 2, "A": 2, "H": 3, "G": 3, "Y": 2, "B": 2}


def network(seed: int) -> bytes:
    """int8[1,2] -> h int8[1,3] -> y int8[1,2]; both are outputs, so that the runtime says what h is."""
    m = Model(np.int8, seed)
    scale, h, y = (float(m.random_scale()) for _ in range(3))
    first, last = m.random_point(), m.random_point()
    w, v = ((m.constant(m.weights(*shape)), m.constant(np.float32(0.02)), m.constant(np.int8(0))) for shape in ((2, 3), (3, 2)))
    inner = m.node("QLinearMatMul", "x", *m.meaning(scale, 3), *w, *m.meaning(h, first))
    outer = m.node("QLinearMatMul", inner, *m.meaning(h, first), *v, *m.meaning(y, last))
    values = [helper.make_tensor_value_info(name, TensorProto.INT8, [1, n]) for name, n in (("x", 2), (outer, 2))]
    graph = helper.make_graph(m.nodes, "g", values[:1], values[1:], m.initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


def with_inner(model: bytes) -> bytes:
    made = onnx.ModelProto.FromString(model)
    made.graph.output.append(helper.make_tensor_value_info(made.graph.node[0].output[0], TensorProto.INT8, [1, 3]))
    return made.SerializeToString()


def declared(names, relation: str, network: str) -> str:
    x, h, y = names
    parts = f'(declare-input {x} int8 [1,2]) (declare-hidden {h} int8 [1,3] "t0") (declare-output {y} int8 [1,2])'
    return f"(declare-network {network} {relation} {parts})\n"


def comparison(rng, tables) -> str:
    """Often near a number that is really there."""

    def element() -> str:
        name = rng.choice([name for names in NAMES for name in names])
        return f"{name}[0,{rng.integers(SHAPES[name])}]"

    a, b, op = element(), element(), rng.choice(["<=", "<", ">=", ">", "==", "!="])
    if rng.random() < 0.4:
        return f"({op} {a} {b})"
    if rng.random() < 0.5:
        return f"({op} {a} {rng.choice(tables)[a] + rng.integers(-1, 2)})"
    return f"({op} (- (* {rng.integers(-3, 4)} {a}) {b}) {rng.integers(-60, 60)})"


def formula(rng, depth: int, tables) -> str:
    if depth == 0 or rng.random() < 0.3:
        return comparison(rng, tables)
    return f"({rng.choice(['and', 'or'])} {' '.join(formula(rng, depth - 1, tables) for _ in range(rng.integers(1, 4)))})"


def points(model: bytes, names, box) -> list[dict[str, int]]:
    """All inputs of a box with what the network gives."""
    runner = session(with_inner(model))
    found = []
    for x in itertools.product(*(range(a, b + 1) for a, b in box)):
        y, h = runner.run(None, {"x": np.array([x], np.int8)})
        found.append({f"{name}[0,{i}]": int(v) for name, part in zip(names, (x, h[0], y[0]), strict=True) for i, v in enumerate(part)})
    return found


@pytest.mark.parametrize("seed", range(12))
def test_two_networks(seed, tmp_path):
    rng = np.random.default_rng(seed)
    relation = ["", "(equal-to f)", "(isomorphic-to f)"][seed % 3]
    models = [network(seed), network(seed + (relation != "(equal-to f)") * 100)]
    files = {name: tmp_path / f"{name}.onnx" for name in "fg"}
    for path, model in zip(files.values(), models, strict=True):
        path.write_bytes(model)
    if relation == "(equal-to f)":
        del files["g"]
    boxes = [[(a, a + 3) for a in rng.integers(-128, 125, 2).tolist()] for _ in range(2)]
    boxes[1][0] = boxes[0][0]
    left, right = (points(model, names, box) for model, names, box in zip(models, NAMES, boxes, strict=True))
    head = "(vnnlib-version <2.0>)\n" + declared(NAMES[0], "", "f") + declared(NAMES[1], relation, "g")
    for names, box in zip(NAMES, boxes, strict=True):
        head += "".join(f"(assert (and (>= {names[0]}[0,{i}] {a}) (<= {names[0]}[0,{i}] {b})))" for i, (a, b) in enumerate(box))
    for number in range(8):
        text = head + ("(assert (== X[0,0] A[0,0]))" if number % 2 else "") + f"(assert {formula(rng, 2, [{**left[0], **right[0]}])})"
        parts = [part[1] for part in tree(text) if part[0] == "assert"]
        both = ({name: Fraction(v) for name, v in {**a, **b}.items()} for a in left for b in right)
        expected = any(all(holds(part, values, True) for part in parts) for values in both)
        question, verdict = certified(text, files, tmp_path)
        assert verdict.violated == expected, text
        if expected:
            question.assignment(verdict.witness)


def test_isomorphic_networks_have_the_same_operators(tmp_path):
    m = Model(np.int8)
    (tmp_path / "f.onnx").write_bytes(network(0))
    x = m.dequantize("x", 0.5, 0)
    (tmp_path / "g.onnx").write_bytes(m.build({"x": (1, 2)}, m.quantize(x, 0.25, 0), np.int8))
    text = "(vnnlib-version <2.0>)\n" + "".join(
        f"(declare-network {name} {relation} (declare-input {x} int8 [1,2]) (declare-output {y} int8 [1,2]))\n"
        for name, relation, x, y in (("f", "", "X", "Y"), ("g", "(isomorphic-to f)", "A", "B"))
    )
    with pytest.raises(QbitsatError, match=r"q.vnnlib:3:1: network g is said to be isomorphic to f, but .* has other operators"):
        bind(read_text(text + "(assert (== X[0,0] 1))", "q.vnnlib"), {name: tmp_path / f"{name}.onnx" for name in "fg"})
