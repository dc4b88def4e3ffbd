"""Floats between DEQUANTIZE and QUANTIZE, as the runtimes of .tflite files compute them: float32, step by step.

A function of an integer is two rows, the least and the most that its floats may be: they differ by the doubt about a mathematical library
or a polynomial, of which more than was measured is taken. LiteRT's own kernels (`tflite-opt`) compute whole vectors otherwise than what is
left after them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from . import library_tables
from .runtimes import MICRO, Quantization

f32 = np.float32
# Elements that LiteRT's own DEQUANTIZE and QUANTIZE take at once.
VECTOR = 8
# Angles that XNNPACK's polynomials were measured for.
LARGEST_ANGLE = 256.0
# How far from the function a runtime's may be: float32 steps of the value, a distance, and one for each unit of the argument.
DOUBTS = {
    "ELU": (3.0, 0.0, 0.0), "EXP": (4.0, 2.0**-126, 0.0), "LOG": (4.0, 2.0**-21, 0.0), "SIN": (1.0, 2.0**-20, 0.0),
    "COS": (1.0, 2.0**-20, 0.0), "LOGISTIC": (1.0, 2.0**-21, 0.0), "TANH": (4.0, 2.0**-21, 0.0), "GELU": (1.0, 0.0, 2.0**-21),
    "POW": (3.0, 0.0, 0.0),
}  # fmt: skip
# Of XNNPACK alone; elsewhere they are exact.
XNNPACK_DOUBTS = {"SQRT": (3.0, 0.0, 0.0), "RSQRT": (3.0, 0.0, 0.0)}
# Functions that rise and fall beside 0, and those that two operands must be known for.
TURNING = ("COS", "GELU", "HARD_SWISH", "SIN")
TURNING_OF_TWO = ("POW", "SQUARED_DIFFERENCE")


def in_vectors(runtime: str, size: int) -> np.ndarray:
    """Which of the elements of a tensor are in whole vectors: bool[size]."""
    return np.arange(size) < (size - size % VECTOR if runtime == "tflite-opt" else 0)


def dequantized(q: np.ndarray, x: Quantization, vector: np.ndarray) -> np.ndarray:
    """s (q - z), in vectors s q + (-z) s."""
    scale = f32(x.scale)
    with np.errstate(over="ignore", invalid="ignore"):
        together = scale * q.astype(f32) + f32(-x.zero_point) * scale
        return np.where(vector, together, scale * (q - x.zero_point).astype(f32))


def quantized(runtime: str, x: np.ndarray, out: Quantization, vector: np.ndarray) -> np.ndarray:
    """x / s_out in float32 with halves away from 0; of XNNPACK, and in vectors, x times 1 / s_out with halves to even; what is left after
    the vectors in float64.
    """
    scale = f32(out.scale)
    with np.errstate(all="ignore"):
        inverse = f32(1) / scale
        even = np.rint(x * inverse).astype(float)
        quotient = x.astype(float) / float(scale) if runtime == "tflite-opt" else (x / scale).astype(float)
        away = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
        steps = even if runtime == "xnnpack" else np.where(vector, even, away)
    # In C what is beyond int32 is undefined.
    if not (np.abs(steps) < 2.0**30).all():
        raise UnsupportedError(f"floats of 2**30 steps of {out.scale:g} or more, or no numbers, where {runtime} defines no output")
    return np.clip(steps + out.zero_point, out.lo, out.hi).astype(np.int64)


# --- functions of one float ---


def hard_swish(x: np.ndarray, runtime: str, _: dict[str, Any]) -> np.ndarray:
    """x min(6, max(0, x + 3)) / 6; LiteRT's own kernels divide x first, XNNPACK rounds x / 6 + 1 / 2 once."""
    sixth = f32(1) / f32(6)
    if runtime == "xnnpack":
        return x * np.clip((x.astype(float) * float(sixth) + 0.5).astype(f32), f32(0), f32(1))
    part = np.clip(x + f32(3), f32(0), f32(6))
    return part * (x * sixth) if runtime == "tflite-opt" else x * part / f32(6)


def leaky_relu(x: np.ndarray, _: str, options: dict[str, Any]) -> np.ndarray:
    return np.where(x > 0, x, x * f32(options["Alpha"]))


def angle(function: Callable[[np.ndarray], np.ndarray]) -> Unary:
    def turned(x: np.ndarray, runtime: str, _: dict[str, Any]) -> np.ndarray:
        if runtime == "xnnpack" and not (np.abs(x) <= LARGEST_ANGLE).all():
            raise UnsupportedError(f"an angle of more than {LARGEST_ANGLE:g}, of which it is not known what {runtime} gives")
        return function(x.astype(float))

    return turned


def of_library(name: str) -> Unary:
    """A function of `library_tables` in float64, before any doubt."""
    return lambda x, _, options: library_tables.FUNCTIONS[f"{name} approximate" if options.get("Approximate") else name](
        x.astype(float), lambda exact: exact
    )


def plain(function: Callable[[np.ndarray], np.ndarray]) -> Unary:
    return lambda x, _, options: function(x)


Unary = Callable[[np.ndarray, str, dict[str, Any]], np.ndarray]
UNARY: dict[str, Unary] = {
    "ABS": plain(np.abs),
    "CEIL": plain(np.ceil),
    "COS": angle(np.cos),
    "FLOOR": plain(np.floor),
    "HARD_SWISH": hard_swish,
    "LEAKY_RELU": leaky_relu,
    "NEG": plain(np.negative),
    "RELU": plain(lambda x: np.maximum(x, f32(0))),
    "RELU6": plain(lambda x: np.clip(x, f32(0), f32(6))),
    "RELU_N1_TO_1": plain(lambda x: np.clip(x, f32(-1), f32(1))),
    "RELU_0_TO_1": plain(lambda x: np.clip(x, f32(0), f32(1))),
    "ROUND": plain(np.rint),
    "RSQRT": plain(lambda x: f32(1) / np.sqrt(x)),
    "SIGN": plain(np.sign),
    "SIN": angle(np.sin),
    "SQRT": plain(np.sqrt),
    "SQUARE": plain(np.square),
    **{kind: of_library(kind) for kind in ("ELU", "EXP", "GELU", "LOG", "LOGISTIC", "TANH")},
}


def unary(kind: str, runtime: str, tables: np.ndarray, options: dict[str, Any]) -> np.ndarray:
    """The function of some rows of floats, float32[n, 2, 256]."""
    least, most = tables[:, 0], tables[:, 1]
    if kind in TURNING:
        require_known(kind, runtime, tables)
    with np.errstate(all="ignore"):
        ends = [(x, UNARY[kind](x, runtime, options)) for x in (least, np.asarray(np.clip(f32(0), least, most)), most)]
        return between([moved for x, y in ends for moved in doubted(kind, runtime, x, y)])


def doubted(kind: str, runtime: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values as small and as large as the runtime's may be."""
    doubts = DOUBTS | XNNPACK_DOUBTS if runtime == "xnnpack" else DOUBTS
    if kind not in doubts:
        return y, y
    steps, least, slope = doubts[kind]
    doubt = steps * np.spacing(np.abs(y).astype(f32)).astype(float) + least + slope * np.abs(x.astype(float))
    if kind == "ELU":
        doubt = np.where(x < 0, doubt, 0.0)
    return (y - doubt).astype(f32), (y + doubt).astype(f32)


def between(values: list[np.ndarray]) -> np.ndarray:
    """The least and the most of some values, of which one that is no number stays: [n, 2, 256]."""
    return np.stack([np.minimum.reduce(values), np.maximum.reduce(values)], axis=1).astype(f32)


def require_known(kind: str, runtime: str, *tables: np.ndarray) -> None:
    if any((table[:, 0] != table[:, 1]).any() for table in tables):
        raise UnsupportedError(f"{kind} of floats that depend on a mathematical library, of which it is not known what {runtime} gives")


# --- functions of two floats ---

BINARY: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": np.divide,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "POW": lambda x, y: np.power(x.astype(float), y.astype(float)),
    "SQUARED_DIFFERENCE": lambda x, y: np.square(x - y),
}


def binary(kind: str, runtime: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The function of pairs of rows, float32[n, 2, 256] each; it rises or falls with each operand."""
    if kind in TURNING_OF_TWO:
        require_known(kind, runtime, x, y)
    if kind == "DIV" and ((y[:, 0] <= 0) & (y[:, 1] >= 0) & (y[:, 0] != y[:, 1])).any():
        require_known(kind, runtime, y)
    with np.errstate(all="ignore"):
        pairs = [(x[:, i], y[:, k]) for i in (0, 1) for k in (0, 1)]
        return between([moved for a, b in pairs for moved in doubted(kind, runtime, a, BINARY[kind](a, b))])


# What runtimes do not have of floats.
ABSENT = {
    **dict.fromkeys(("GELU", "POW", "RELU_0_TO_1", "RELU_N1_TO_1", "SIGN"), MICRO),
    **dict.fromkeys(("CEIL", "ELU", "ROUND"), ("tflite-ref",)),
}
