"""Models of one operator with random scales, inputs near ties, and what the steps of `importers.runtimes` say they give.

A case is (model, inputs, expected); each function makes one with about n outputs.
"""

from __future__ import annotations

import math

import numpy as np
import tflite_files as files
from oracles import run_tflite

from qbitsat.arithmetic import Requantizer
from qbitsat.importers.runtimes import Quantization, Runtime
from qbitsat.importers.tables import prelu as prelu_table
from qbitsat.importers.tables import table

f32 = np.float32
FUSED = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
LOOKUPS = ("ABS", "ELU", "EXP", "GELU", "GELU approximate", "LOG", "SQRT", "RSQRT")


def scale(rng, low: int = -8, high: int = -2) -> float:
    return float(f32(2.0 ** rng.uniform(low, high)))


def ratio(rng, largest: int, low: int = -3, high: int = 4) -> float:
    """A half divided by an integer up to `largest`, which it takes to a tie; about 2**low to 2**high."""
    acc = int(rng.integers(1, largest + 1))
    return (int(acc * 2.0 ** rng.uniform(low, high)) + 0.5) / acc


def tying(rng, s: float, largest: int, low: int = -3, high: int = 4) -> float:
    """The float32 s' nearest to where some acc * s / s' is a half."""
    return float(f32(s / ratio(rng, largest, low, high)))


def form(rng, s: float) -> Quantization:
    return Quantization(s, int(rng.integers(-128, 128)))


def tensor(shape, q: Quantization, data=None) -> files.Tensor:
    return files.Tensor(tuple(shape), q.scale, q.zero_point, data=data)


def int8(rng, *shape) -> np.ndarray:
    return rng.integers(-128, 128, shape).astype(np.int8)


def near(rng, r: Requantizer, n: int) -> np.ndarray:
    """Accumulators beside the thresholds, a quarter of them anywhere, int64[n]."""
    steps = r.thresholds(1 << 30)
    steps = steps[np.abs(steps) < 1 << 30]
    steps = steps if len(steps) else np.zeros(1, np.int64)
    widest = int(np.abs(steps).max()) + 10
    return np.where(rng.random(n) < 0.25, rng.integers(-widest, widest, n), rng.choice(steps, n) + rng.integers(-2, 2, n))


def applied(steps: tuple[Requantizer, ...], acc: np.ndarray) -> np.ndarray:
    """One step for all, or one for each."""
    return steps[0].apply(acc) if len(steps) == 1 else np.array([r.apply(a) for r, a in zip(steps, acc.tolist(), strict=True)])


def affine(rng, runtime: Runtime, n: int, operator: str):
    """Dense and convolutions of one pixel; biases make the accumulators what is wanted, for any weights and input."""
    x, fused = form(rng, scale(rng)), str(rng.choice(FUSED[:3]))
    out = form(rng, scale(rng))
    per_channel = rng.random() < 0.5
    count = n if per_channel else 1
    s_weights = [float(f32(out.scale / x.scale * ratio(rng, 1 << 20, -14, 1))) for _ in range(count)]
    if rng.random() < 0.3:
        out, s_weights = Quantization(0.25 * x.scale, out.zero_point), [2.0 ** -int(e) for e in rng.integers(4, 14, count)]
    if operator in ("depthwise", "transposed"):
        steps = getattr(runtime, operator)(x.scale, s_weights, n, runtime.fused(out, fused, operator))
    else:
        steps = getattr(runtime, operator)(x.scale, s_weights, runtime.fused(out, fused, operator))
    acc = near(rng, steps[0], n) if len(steps) == 1 else np.concatenate([near(rng, r, 1) for r in steps])
    expected = applied(steps, acc)
    weights, q = rng.integers(-127, 128, (n, 4)).astype(np.int8), int8(rng, 4)
    if operator == "depthwise":
        weights, q = weights[:, :1], int8(rng, n)
        rest = weights[:, 0].astype(int) * (q.astype(int) - x.zero_point)
    else:
        rest = weights.astype(int) @ (q.astype(int) - x.zero_point)
    shape = (1, n) if operator == "dense" else (1, 1, 1, n)
    weights = weights.reshape({"dense": (n, 4), "depthwise": (1, 1, 1, n)}.get(operator, (n, 1, 1, 4)))
    write = getattr(files, operator)
    q = q.reshape((1, -1) if operator == "dense" else (1, 1, 1, -1))
    return write(tensor(q.shape, x), weights, s_weights, acc - rest, tensor(shape, out), fused), [q], expected


def pairs(rng, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two int8[1, n]; all pairs of values where n is large enough."""
    order = rng.permutation(1 << 16)[:n]
    return (order // 256 - 128).astype(np.int8)[None], (order % 256 - 128).astype(np.int8)[None]


def multiply(rng, runtime: Runtime, n: int):
    a, b, fused = form(rng, scale(rng)), form(rng, scale(rng)), str(rng.choice(FUSED))
    out = form(rng, tying(rng, float(f32(a.scale) * f32(b.scale)), 1 << 14, -9, -2))
    if rng.random() < 0.3:
        a, b, out = (Quantization(s, q.zero_point) for s, q in ((0.25, a), (0.125, b), (2.0 ** int(rng.integers(-2, 5)), out)))
    x = pairs(rng, n)
    constant = bool(rng.random() < 0.3)
    acc = (x[0].astype(np.int64) - a.zero_point) * (x[1].astype(np.int64) - b.zero_point)
    model = files.binary("MUL", tensor((1, n), a), tensor((1, n), b, x[1] if constant else None), tensor((1, n), out), fused)
    return model, x[: 1 if constant else 2], runtime.multiply(a.scale, b.scale, runtime.fused(out, fused, "MUL")).apply(acc)


def add(rng, runtime: Runtime, n: int, operator: str = "ADD"):
    a, fused = form(rng, scale(rng)), str(rng.choice(FUSED))
    b = form(rng, tying(rng, a.scale, 255))
    out = form(rng, tying(rng, max(a.scale, b.scale), 255, -3, 2))
    if rng.random() < 0.3:
        a, b, out = (Quantization(2.0 ** int(rng.integers(-4, 0)), q.zero_point) for q in (a, b, out))
    x = pairs(rng, n)
    sign, clamped = 1 if operator == "ADD" else -1, runtime.fused(out, fused, operator)
    _, block, operands = runtime.add_blocks((1, n), (1, n)) if operator == "ADD" else (1, 1, "")
    ways = [runtime.add(a, b, clamped, sign, way) for way in (operands, "")]
    q = [part.astype(np.int64) for part in x]
    whole, rest = (way.requantizer.apply(way.terms[0].apply(q[0]) + way.terms[1].apply(q[1])) for way in ways)
    model = files.binary(operator, tensor((1, n), a), tensor((1, n), b), tensor((1, n), out), fused)
    return model, list(x), np.where(np.arange(n) < n - n % block, whole, rest)


def quantize(rng, runtime: Runtime, _n: int):
    size = int(rng.integers(1, 257))
    x = form(rng, scale(rng))
    out = form(rng, x.scale if rng.random() < 0.1 else tying(rng, x.scale, 255))
    weight, steps = runtime.quantize(x.scale, size, out)
    values = rng.permutation(x.values)[:size]
    model = files.unary("QUANTIZE", tensor((1, size), x), tensor((1, size), out))
    return model, [values.astype(np.int8)[None]], applied(steps, weight * (values - x.zero_point))


def relu(rng, runtime: Runtime, _n: int):
    operator = str(rng.choice(("RELU", "RELU6")))
    x = form(rng, scale(rng))
    out = x if rng.random() < 0.2 else form(rng, tying(rng, x.scale, 255))
    model = files.unary(operator, tensor((1, 256), x), tensor((1, 256), out))
    return model, [x.values.astype(np.int8)[None]], runtime.relu(x, out, operator).apply(x.values - x.zero_point)


def image(rng, n: int) -> np.ndarray:
    """int8[1, h, w, n], some of it with sums near the ends."""
    h, w = (int(side) for side in rng.integers(1, 9, 2))
    return np.where(rng.random(n) < 0.1, rng.choice([-128, 127]), rng.integers(-128, 128, (1, h, w, n))).astype(np.int8)


def average_pool(rng, runtime: Runtime, n: int):
    pixels, x, fused = image(rng, n), form(rng, scale(rng)), str(rng.choice(FUSED[:3]))
    step = runtime.average_pool(pixels[0, ..., 0].size, runtime.fused(x, fused, "AVERAGE_POOL_2D"))
    model = files.pool("AVERAGE_POOL_2D", tensor(pixels.shape, x), tensor((1, 1, 1, n), x), fused)
    return model, [pixels], step.apply(pixels.astype(np.int64).sum(axis=(0, 1, 2)))


def max_pool(rng, runtime: Runtime, n: int):
    pixels, x, fused = image(rng, n), form(rng, scale(rng)), str(rng.choice(FUSED[:3]))
    out = runtime.fused(x, fused, "MAX_POOL_2D")
    model = files.pool("MAX_POOL_2D", tensor(pixels.shape, x), tensor((1, 1, 1, n), x), fused)
    return model, [pixels], np.clip(pixels.max(axis=(0, 1, 2)), out.lo, out.hi)


def mean(rng, runtime: Runtime, n: int):
    pixels, x = image(rng, n), form(rng, scale(rng))
    count = pixels[0, ..., 0].size
    out = form(rng, tying(rng, x.scale / count, 127 * count, -2, 2))
    if rng.random() < 0.4:
        out = form(rng, x.scale * 2.0 ** int(rng.integers(-1, 2)))
    constant, step = runtime.mean(x, count, out)
    model = files.reduction("MEAN", tensor(pixels.shape, x), tensor((1, n), out))
    return model, [pixels], step.apply(constant + pixels.astype(np.int64).sum(axis=(0, 1, 2)))


def lookup(rng, runtime: Runtime, operator: str):
    """All 256 values of an activation function."""
    x, alpha = form(rng, scale(rng, -9, -1)), float(f32(rng.choice([0.01, 0.1, 0.3, rng.uniform(-1.2, 2)])))
    fixed = {"LOGISTIC": Quantization(2.0**-8, -128), "TANH": Quantization(2.0**-7)}
    if operator in ("SQRT", "RSQRT"):
        x = Quantization(x.scale, -128)
        fixed[operator] = form(rng, float(f32(x.scale ** (-0.5 if operator == "RSQRT" else 0.5) * 2.0 ** rng.uniform(-9, 0))))
    out = fixed.get(operator) or form(rng, float(f32(x.scale * 2.0 ** rng.uniform(-2, 3))))
    if operator in ("LEAKY_RELU", "ABS") and rng.random() < 0.5:
        out = form(rng, tying(rng, x.scale, 255))
    if operator == "EXP":
        out = form(rng, float(f32(math.exp(min(x.scale * (127 - x.zero_point), 40)) * 2.0 ** rng.uniform(-10, -6))))
    model = files.unary(operator, tensor((1, 256), x), tensor((1, 256), out), alpha)
    return model, [x.values.astype(np.int8)[None]], table(operator, runtime.name, x, out, alpha)


def sum_(rng, runtime: Runtime, n: int):
    pixels, x = image(rng, n), form(rng, scale(rng))
    count = pixels[0, ..., 0].size
    out = form(rng, tying(rng, x.scale, 127 * count, -9, 0) if rng.random() < 0.7 else float(f32(x.scale * 2.0 ** int(rng.integers(0, 9)))))
    constant, step = runtime.sum(x, count, out)
    model = files.reduction("SUM", tensor(pixels.shape, x), tensor((1, n), out))
    return model, [pixels], step.apply(constant + pixels.astype(np.int64).sum(axis=(0, 1, 2)))


def prelu(rng, runtime: Runtime, _n: int):
    """All 256 values with one slope."""
    x, slopes = form(rng, scale(rng, -9, -1)), form(rng, scale(rng, -9, -6))
    out, slope = form(rng, tying(rng, x.scale, 255)), int(rng.integers(-128, 128))
    model = files.prelu(tensor((1, 1, 256, 1), x), tensor((1, 1, 1), slopes, np.array([slope], np.int8)), tensor((1, 1, 256, 1), out))
    return (
        model,
        [x.values.astype(np.int8)[None, None, :, None]],
        prelu_table(runtime.name, x, slopes.scale, slope - slopes.zero_point, out),
    )


CASES = {
    "FULLY_CONNECTED": lambda *case: affine(*case, "dense"),
    "CONV_2D": lambda *case: affine(*case, "convolution"),
    "DEPTHWISE_CONV_2D": lambda *case: affine(*case, "depthwise"),
    "TRANSPOSE_CONV": lambda *case: affine(*case, "transposed"),
    "MUL": multiply,
    "ADD": add,
    "SUB": lambda *case: add(*case, "SUB"),
    "QUANTIZE": quantize,
    "RELU": relu,
    "AVERAGE_POOL_2D": average_pool,
    "MAX_POOL_2D": max_pool,
    "MEAN": mean,
    "LOGISTIC": lambda rng, runtime, _n: lookup(rng, runtime, "LOGISTIC"),
    "TANH": lambda rng, runtime, _n: lookup(rng, runtime, "TANH"),
    "HARD_SWISH": lambda rng, runtime, _n: lookup(rng, runtime, "HARD_SWISH"),
    "PRELU": prelu,
    **{kind: lambda rng, runtime, _n, kind=kind: lookup(rng, runtime, kind) for kind in LOOKUPS},
    "SUM": sum_,
    "LEAKY_RELU": lambda rng, runtime, _n: lookup(rng, runtime, "LEAKY_RELU"),
}


def check_operator(operator: str, name: str, rng, n: int) -> tuple[int, int]:
    """Of one random model: how many outputs there are, and how many differ."""
    model, inputs, expected = CASES[operator](rng, Runtime(name), n)
    found = run_tflite(name, model, *inputs)
    return expected.size, int((found.ravel() != expected.ravel()).sum())
