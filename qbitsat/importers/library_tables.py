"""Functions of int8 in TensorFlow Lite that are filled into tables in float32, by a mathematical library.

Of x = s_in * (q - z_in) in float32 they take the function, times float32(1 / s_out), rounded to the nearest with halves away from 0
(internal/common.h, LUTPopulate; elu.cc); XNNPACK adds z_out to some before it rounds, with halves to even. What the library gives is known
up to a doubt: where that decides an integer, the table is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..errors import UnsupportedError
from .runtimes import Quantization

f32 = np.float32
# float32 steps of a value that the mathematical libraries of runtimes may differ by. Of LOGISTIC's exponential, and of XNNPACK's LOGISTIC,
# the nearest float32 was measured, near some 4,000 ties; of TANH, all floats: it is less than 2.25 steps off, that is
# the float32 nearest to something 1.75 off.
DOUBT, DOUBTS = 3.0, {"LOGISTIC": 1 / 16, "TANH": 1.75}
# What a library makes of exact values: float32, with a doubt.
Library = Callable[[np.ndarray], np.ndarray]


def elu(x: np.ndarray, library: Library) -> np.ndarray:
    return np.where(x < 0, library(np.exp(x.astype(float))) - f32(1), x)


def exp(x: np.ndarray, library: Library) -> np.ndarray:
    return library(np.exp(x.astype(float)))


def gelu(x: np.ndarray, library: Library) -> np.ndarray:
    """x / 2 * erfc(-x / sqrt(2))."""
    turned = x * f32(-math.sqrt(0.5))
    return f32(0.5) * x * library(np.array([math.erfc(v) for v in turned.ravel().tolist()]).reshape(x.shape))


def gelu_by_tanh(x: np.ndarray, library: Library) -> np.ndarray:
    """x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x**3)))."""
    inner = f32(math.sqrt(2 / math.pi)) * (x + f32(0.044715) * x * x * x)
    return f32(0.5) * x * (f32(1) + library(np.tanh(inner.astype(float))))


def log(x: np.ndarray, library: Library) -> np.ndarray:
    """Of what is not positive, less than any output."""
    return np.where(x > 0, library(np.log(np.maximum(x, f32(1e-45)).astype(float))), f32(-np.inf))


def logistic(x: np.ndarray, library: Library) -> np.ndarray:
    return f32(1) / (f32(1) + library(np.exp(-x.astype(float))))


def logistic_at_once(x: np.ndarray, library: Library) -> np.ndarray:
    return library(1 / (1 + np.exp(-x.astype(float))))


def tanh(x: np.ndarray, library: Library) -> np.ndarray:
    return library(np.tanh(x.astype(float)))


Function = Callable[[np.ndarray, Library], np.ndarray]
FUNCTIONS: dict[str, Function] = {
    "ELU": elu, "EXP": exp, "GELU": gelu, "GELU approximate": gelu_by_tanh, "LOG": log, "LOGISTIC": logistic, "TANH": tanh,
}  # fmt: skip
# What XNNPACK has kernels of its own for.
XNNPACK: dict[str, Function] = {"ELU": elu, "LOGISTIC": logistic_at_once, "TANH": tanh}


def filled(kind: str, runtime: str, x: Quantization, out: Quantization) -> np.ndarray:
    """The output for each input from lo to hi: int64[hi - lo + 1]."""
    doubt = DOUBTS.get(kind, DOUBT)
    least, most = (of_doubt(kind, runtime, x, out, steps) for steps in (-doubt, doubt))
    doubtful = np.flatnonzero(least != most)
    if doubtful.size:
        k = doubtful[0]
        what = f"{kind} of {x.values[k] - x.zero_point} steps of {x.scale:g} is {least[k]} or {most[k]}"
        raise UnsupportedError(f"{what}, too near a tie to say what {runtime} gives")
    return least


def of_doubt(kind: str, runtime: str, x: Quantization, out: Quantization, steps: float) -> np.ndarray:
    """The same where the library gives so many float32 steps more than is right."""

    def library(exact: np.ndarray) -> np.ndarray:
        step = np.spacing(exact.astype(f32)).astype(float)
        return np.where(np.isfinite(step), exact + steps * step, exact).astype(f32)

    own = XNNPACK.get(kind) if runtime == "xnnpack" else None
    with np.errstate(all="ignore"):
        reals = f32(x.scale) * (x.values - x.zero_point).astype(f32)
        values = (own or FUNCTIONS[kind])(reals, library) * (f32(1) / f32(out.scale))
    # In C what is beyond int32 is undefined: on processors known it is the least integer.
    if not (values < 2.0**31).all():
        raise UnsupportedError(f"{kind} from scale {x.scale:g} to {out.scale:g} reaches 2**31 steps, where {runtime} defines no output")
    if own:
        nearest = np.rint(values + f32(out.zero_point))
    else:
        nearest = np.copysign(np.floor(np.abs(values.astype(float)) + 0.5), values) + out.zero_point
    return np.clip(nearest, out.lo, out.hi).astype(np.int64)
