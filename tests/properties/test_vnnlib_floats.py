"""Queries about QDQ networks with floats outside, against all kinds of inputs that can be told apart, run in ONNX Runtime."""

import numpy as np
import pytest
from onnx_files import Model, f32
from vnnlib_certified import certified
from vnnlib_oracle import float_candidates, is_satisfied

HEAD = """(vnnlib-version <2.0>)
(declare-network f (declare-input X float32 [1,2]) (declare-output Y float32 [1,3]))
"""


def network(rng, dtype) -> tuple[bytes, float, int]:
    m = Model(dtype, int(rng.integers(1 << 30)))
    scale, point = m.random_scale(), m.random_point()
    x = m.through("x", scale, point)
    w, bias = m.stored(m.weights(3, 2), f32(0.01)), m.stored(m.rng.integers(-50, 50, 3).astype(np.int32), f32(0.01) * scale)
    out = f32(2.0**-4) if rng.random() < 0.3 else m.random_scale()
    y = m.through(m.node("Gemm", x, w, bias, transB=1), out, m.random_point())
    return m.build({"x": (1, 2)}, y), float(scale), point


def comparison(rng, scale: float, point: int, centre: float) -> str:
    """About inputs near the box, often at ties, or about outputs."""
    kind, op = rng.integers(5), rng.choice(["<=", "<", ">=", ">", "==", "!="])
    i, j, k = rng.integers(2), *rng.permutation(3)[:2]
    if kind < 2:
        steps = rng.integers(-2, 3) + rng.choice([0, 0.5, 0.25])
        return f"({op} X[0,{i}] {f32(centre + steps * scale):.9f})"
    if kind == 2:
        return f"({op} Y[0,{j}] Y[0,{k}])"
    if kind == 3:
        return f"({op} Y[0,{j}] {rng.normal():.3f})"
    return f"({op} (+ Y[0,{j}] (* {rng.choice([2.0, -1.5, 0.3])} Y[0,{k}])) {rng.normal():.2f})"


def formula(rng, depth: int, *about) -> str:
    if depth == 0 or rng.random() < 0.3:
        return comparison(rng, *about)
    return f"({rng.choice(['and', 'or'])} {' '.join(formula(rng, depth - 1, *about) for _ in range(rng.integers(1, 4)))})"


@pytest.mark.parametrize("seed", range(16))
def test_every_kind_of_input(seed, tmp_path):
    rng = np.random.default_rng(seed)
    model, scale, point = network(rng, [np.uint8, np.int8][seed % 2])
    lo, hi = (0, 255) if seed % 2 == 0 else (-128, 127)
    (tmp_path / "f.onnx").write_bytes(model)
    for _ in range(6):
        middle = scale * (int(rng.integers(lo, hi)) - point)
        ends = sorted(f"{f32(middle + v * scale):.9f}" for v in rng.choice([-1, -0.5, -0.25, 0, 0.5, 0.75], 2, replace=False))
        first, last = sorted(map(float, map(f32, ends)))
        box = "".join(f"(assert (>= X[0,{i}] {first:.9f}))(assert (<= X[0,{i}] {last:.9f}))" for i in range(2))
        text = HEAD + box + f"(assert {formula(rng, 3, scale, point, middle)})"
        first, last = float(f32(f"{first:.9f}")), float(f32(f"{last:.9f}"))
        near = float_candidates(scale, point, lo, hi, text, first, last)
        expected = is_satisfied(model, text, {"X[0,0]": near, "X[0,1]": near})
        question, verdict = certified(text, {"f": tmp_path / "f.onnx"}, tmp_path)
        assert verdict.violated == expected, text
        if expected:
            question.assignment(verdict.witness)
