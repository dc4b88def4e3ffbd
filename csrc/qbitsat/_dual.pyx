"""Exact Lagrangian bounds over layers: what integer multipliers on accumulators prove about everything behind them."""

from libc.math cimport fabs

from qbitsat._types cimport int32_t, int64_t

cdef extern from "dual.h":
    void add_multiples(int64_t *sum, const int32_t *matrix, const int64_t *multipliers, long n_out, long n_in) noexcept nogil

# Sums whose magnitudes add up to less than this stay inside int64, whatever the order.
cdef double SAFE = 2.0**61


def layer(
    const int32_t[:, ::1] matrix,
    int64_t heaviest,
    const int64_t[::1] bias,
    const int64_t[:, ::1] steps,
    int64_t y_min,
    const int64_t[::1] acc_lo,
    const int64_t[::1] acc_hi,
    const int64_t[::1] lo,
    const int64_t[::1] hi,
    const int64_t[::1] multipliers,
    const int64_t[::1] coefficients,
    int64_t[::1] behind,
):
    """An upper bound of sum_i coefficients[i] * y[i] - behind . x + (behind . x as added up here), all integers.

    For each output i, with m its multiplier and c its coefficient, over the steps v in [lo, hi] that reach into [acc_lo, acc_hi]:

        total += m * bias + max over v of (c * v - m * acc),  acc the smallest for m >= 0, else the largest, of step v
        behind += m * matrix[i]

    so that c . y <= total + behind . x for every x whose accumulators and outputs lie in the ranges. steps[k, v - y_min] is the
    smallest accumulator that reaches v, for outputs i with i % len(steps) == k; no steps at all: y and acc count as unrelated.
    heaviest is the largest magnitude in matrix, as the caller knows. Returns (total, possible); possible is False when some output has no step left. Raises OverflowError, before `behind` is
    touched, if a sum could leave int64, and ValueError when shapes do not fit together.
    """
    cdef Py_ssize_t i, j, k, n_out = bias.shape[0], n_in = behind.shape[0], channels = steps.shape[0]
    cdef int64_t total = 0, m, c, v, first, last, value, best
    cdef bint found
    cdef double size = 0, widest = 0
    if not (acc_lo.shape[0] == acc_hi.shape[0] == lo.shape[0] == hi.shape[0] == multipliers.shape[0] == coefficients.shape[0] == n_out):
        raise ValueError(f"expected {n_out} ranges, multipliers and coefficients")
    if matrix.shape[0] != n_out or matrix.shape[1] != n_in:
        raise ValueError(f"expected a matrix of {n_out} rows of {n_in}")
    for i in range(n_out):
        if channels and not (y_min <= lo[i] and hi[i] - y_min + 1 < steps.shape[1]):
            raise ValueError(f"output {i}: range [{lo[i]}, {hi[i]}] leaves the steps")
    with nogil:
        for i in range(n_out):
            widest += fabs(<double> multipliers[i]) * <double> heaviest
            size += fabs(<double> multipliers[i]) * (fabs(<double> bias[i]) + max(fabs(<double> acc_lo[i]), fabs(<double> acc_hi[i])))
            size += fabs(<double> coefficients[i]) * max(fabs(<double> lo[i]), fabs(<double> hi[i]))
        for k in range(n_in):
            size = max(size, fabs(<double> behind[k]) + widest)
    if not size < SAFE:
        raise OverflowError("multipliers too large for int64")
    with nogil:
        if n_out and n_in:
            add_multiples(&behind[0], &matrix[0, 0], &multipliers[0], n_out, n_in)
        for i in range(n_out):
            m, c = multipliers[i], coefficients[i]
            total += m * bias[i]
            if channels == 0:
                total += max(c * lo[i], c * hi[i]) + max(-m * acc_lo[i], -m * acc_hi[i])
                continue
            best, found, j = 0, False, i % channels
            for v in range(lo[i], hi[i] + 1):
                first = max(acc_lo[i], steps[j, v - y_min])
                last = min(acc_hi[i], steps[j, v - y_min + 1] - 1)
                if first <= last:
                    value = c * v - m * (first if m >= 0 else last)
                    if not found or value > best:
                        best, found = value, True
            if not found:
                with gil:
                    return 0, False
            total += best
    return total, True


def box(const int64_t[::1] lo, const int64_t[::1] hi, const int64_t[::1] coefficients):
    """The largest coefficients . x over lo <= x <= hi. Raises OverflowError if the sum could leave int64."""
    cdef Py_ssize_t i, n = coefficients.shape[0]
    cdef int64_t total = 0
    cdef double size = 0
    if lo.shape[0] != n or hi.shape[0] != n:
        raise ValueError("lo, hi and coefficients differ in length")
    with nogil:
        for i in range(n):
            size += fabs(<double> coefficients[i]) * max(fabs(<double> lo[i]), fabs(<double> hi[i]))
            total += coefficients[i] * (hi[i] if coefficients[i] > 0 else lo[i]) if size < SAFE else 0
    if not size < SAFE:
        raise OverflowError("coefficients too large for int64")
    return total
