"""CMSIS-NN with single rounding, whose formula is compiled here: there is no program of it to compare with."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from qbitsat.arithmetic import MultiplierRequantizer
from qbitsat.importers.runtimes import Quantization, Runtime, quantize_multiplier

# The formula that CMSIS-NN documents for CMSIS_NN_USE_SINGLE_ROUNDING: the product of 64 bits, shifted to one bit too many, plus one,
# halved. Sums rescale both operands, 20 bits wider, and then their sum.
SOURCE = r"""
#include <stdint.h>
static int32_t once(int32_t x, int32_t m, int32_t s) { return ((int32_t)((int64_t)x * m >> (30 - s)) + 1) >> 1; }
static int32_t within(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }
void products(const int32_t *acc, int32_t n, int32_t m, int32_t s, int32_t z, int32_t lo, int32_t hi, int32_t *y)
{
    for (int32_t i = 0; i < n; i++) y[i] = within(once(acc[i], m, s) + z, lo, hi);
}
void sums(const int32_t *a, const int32_t *b, int32_t n, int32_t z_a, int32_t m_a, int32_t s_a, int32_t z_b, int32_t m_b, int32_t s_b,
          int32_t m, int32_t s, int32_t z, int32_t lo, int32_t hi, int32_t *y)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t sum = once((a[i] - z_a) * (1 << 20), m_a, s_a) + once((b[i] - z_b) * (1 << 20), m_b, s_b);
        y[i] = within(once(sum, m, s) + z, lo, hi);
    }
}
"""
RUNTIME = Runtime("cmsis-single")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cmsis")
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))))
    (folder / "cmsis.c").write_text(SOURCE)
    subprocess.run([compiler, "-O1", "-fwrapv", "-shared", "-fPIC", "-o", folder / "cmsis.so", folder / "cmsis.c"], check=True)
    return ctypes.CDLL(str(folder / "cmsis.so"))


def array(x: np.ndarray):
    return np.ascontiguousarray(x, np.int32).ctypes.data_as(ctypes.POINTER(ctypes.c_int32))


def accumulators(rng: np.random.Generator, step, count: int) -> np.ndarray:
    """Beside thresholds, and anywhere."""
    firsts = step.thresholds(1 << 30)
    near = rng.choice(firsts, count) + rng.integers(-2, 2, count)
    return np.where(rng.random(count) < 0.3, rng.integers(-(1 << 24), 1 << 24, count), near)


@pytest.mark.parametrize("operator", ["dense", "convolution", "multiply"])
def test_products_are_those_of_the_formula(compiled, operator):
    rng = np.random.default_rng(3)
    for _ in range(100):
        s_in, s_weight, s_out = (float(np.float32(2.0 ** rng.uniform(-9, -2))) for _ in range(3))
        out = Quantization(s_out, int(rng.integers(-128, 128)), -100, 120)
        if operator == "multiply":
            step = RUNTIME.multiply(s_in, s_weight, out)
        else:
            (step,) = getattr(RUNTIME, operator)(s_in, [s_weight], out)
        assert isinstance(step, MultiplierRequantizer)
        acc = np.ascontiguousarray(accumulators(rng, step, 1000), np.int32)
        found = np.empty(len(acc), np.int32)
        multiplier, shift = quantize_multiplier(s_in * s_weight / s_out)
        compiled.products(array(acc), len(acc), multiplier, shift, out.zero_point, out.lo, out.hi, array(found))
        assert (found == step.apply(acc.astype(np.int64))).all()


def test_sums_are_those_of_the_formula(compiled):
    rng = np.random.default_rng(4)
    order = np.arange(1 << 16)
    q = [np.ascontiguousarray(part - 128, np.int32) for part in (order // 256, order % 256)]
    for _ in range(20):
        a, b, out = (Quantization(float(np.float32(2.0 ** rng.uniform(-6, -3))), int(rng.integers(-128, 128))) for _ in range(3))
        total = RUNTIME.add(a, b, out)
        twice = 2 * max(a.scale, b.scale)
        scales = (a.scale / twice, b.scale / twice, twice / (2.0**20 * out.scale))
        (m_a, s_a), (m_b, s_b), (m, s) = map(quantize_multiplier, scales)
        found = np.empty(len(order), np.int32)
        numbers = (a.zero_point, m_a, s_a, b.zero_point, m_b, s_b, m, s, out.zero_point, out.lo, out.hi)
        compiled.sums(array(q[0]), array(q[1]), len(order), *numbers, array(found))
        acc = total.terms[0].apply(q[0].astype(np.int64)) + total.terms[1].apply(q[1].astype(np.int64))
        assert (found == total.requantizer.apply(acc)).all()
