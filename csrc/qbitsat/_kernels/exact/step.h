/* What one asks of the steps of a requantizer: see step_t in layer.h. All but `step_largest` are for kinds other than NONE, whose accumulators
   and outputs count as unrelated. */
#ifndef QBITSAT_STEP_H
#define QBITSAT_STEP_H

#include "layer.h"
#include "vector.h"

INLINE int64_t least_of(int64_t a, int64_t b) {
    return a < b ? a : b;
}

INLINE int64_t most_of(int64_t a, int64_t b) {
    return a > b ? a : b;
}

INLINE int64_t clamp(int64_t a, int64_t lo, int64_t hi) {
    return a < lo ? lo : a > hi ? hi : a;
}

INLINE const step_t *step_of(const layer_t *layer, int i) {
    return &layer->steps[layer->num_steps == 1 ? 0 : i % layer->num_steps];
}

/* The smallest accumulator whose quotient by 2**shift is at least q, within NOWHERE; as `arithmetic.rounding.first_with_quotient`. */
INLINE int64_t shift_first(const step_t *step, int64_t q) {
    int s = step->shift;
    if (s <= 0) return -(-q >> -s);
    /* Quotients this far out stay beyond NOWHERE whatever the rounding does, and inside int64 once they are shifted. */
    int64_t most = (NOWHERE >> s) + 1, half = (int64_t)1 << (s - 1), first;
    q = clamp(q, -most, most);
    switch (step->rounding) {
    case ROUND_FLOOR: first = q * 2 * half; break;
    case ROUND_TOWARD_ZERO: first = q <= 0 ? (q - 1) * 2 * half + 1 : q * 2 * half; break;
    case ROUND_HALF_UP: first = q * 2 * half - half; break;
    case ROUND_HALF_AWAY: first = q * 2 * half - half + (q <= 0); break;
    default: first = q * 2 * half - half + (q & 1);
    }
    return clamp(first, -NOWHERE, NOWHERE);
}

INLINE int64_t shift_apply(const step_t *step, int64_t acc) {
    int s = step->shift;
    if (s <= 0) {
        int64_t most = NOWHERE >> -s; /* what is further out saturates anyway */
        return clamp(clamp(acc, -most, most) * ((int64_t)1 << -s) + step->offset, step->lo, step->hi);
    }
    int64_t half = (int64_t)1 << (s - 1);
    acc = clamp(acc, -NOWHERE, NOWHERE);
    switch (step->rounding) {
    case ROUND_FLOOR: break;
    case ROUND_TOWARD_ZERO: acc += acc < 0 ? 2 * half - 1 : 0; break;
    case ROUND_HALF_UP: acc += half; break;
    case ROUND_HALF_AWAY: acc += half - (acc < 0); break;
    default: acc += half - 1 + (acc >> s & 1);
    }
    return clamp((acc >> s) + step->offset, step->lo, step->hi);
}

/* The first of `count` values, none below the one before, that is at least y; count if none is. */
INLINE int64_t first_at_least(const int64_t *values, int64_t count, int64_t y) {
    int64_t a = 0, b = count;
    while (a < b) {
        int64_t middle = (a + b) / 2;
        if (values[middle] >= y) b = middle;
        else a = middle + 1;
    }
    return a;
}

/* The smallest accumulator with an output of at least y: -NOWHERE for y <= lo, NOWHERE for y > hi. */
INLINE int64_t step_first(const step_t *step, int64_t y) {
    if (y <= step->lo) return -NOWHERE;
    if (y > step->hi) return NOWHERE;
    if (step->kind == STEP_TABLE) return step->table[y - step->lo];
    if (step->kind == STEP_SHIFT) return shift_first(step, y - step->offset);
    return step->first + first_at_least(step->table, step->count, y);
}

/* The largest accumulator with an output of at most y. */
INLINE int64_t step_last(const step_t *step, int64_t y) {
    return step_first(step, y + 1) - 1;
}

/* The output of an accumulator. */
INLINE int64_t step_apply(const step_t *step, int64_t acc) {
    if (step->kind == STEP_SHIFT) return shift_apply(step, acc);
    if (step->kind == STEP_POINTS) return step->table[clamp(acc - step->first, 0, step->count - 1)];
    /* Thresholds are about evenly spaced: a guess is seldom far. Where it is, half of what is left goes at a time. */
    int64_t a = 0, b = step->hi - step->lo;
    if (b > 1) {
        double guess = 1 + ((double)acc - (double)step->table[1]) * step->inverse;
        int64_t y = guess < 0 ? 0 : guess < (double)b ? (int64_t)guess : b;
        a = step->table[y] <= acc ? y : 0;
        b = step->table[y] <= acc ? b : y - 1;
        if (a < b && step->table[a + 1] > acc) return a + step->lo;
        if (a < b && a == 0 && step->table[b] <= acc) return b + step->lo;
    }
    while (a < b) {
        int64_t middle = (a + b + 1) / 2;
        if (step->table[middle] <= acc) a = middle;
        else b = middle - 1;
    }
    return a + step->lo;
}

/* Accumulators over outputs between the first step and the last, about. */
INLINE double step_usual(const step_t *step) {
    if (step->hi - step->lo < 2) return 0;
    return (double)(step_first(step, step->hi) - step_first(step, step->lo + 1)) / (double)(step->hi - step->lo - 1);
}

/* A maximum under way: whether there is any, and which. */
typedef struct {
    int found;
    int64_t value;
} largest_t;

INLINE void take_larger(largest_t *best, int64_t value) {
    if (!best->found || value > best->value) best->value = value;
    best->found = 1;
}

/* c * y - m * acc along level y, for accumulators from acc_lo to acc_hi; nothing if none of these gives y. */
INLINE void take_level(largest_t *best, int64_t first, int64_t last, int64_t y, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi) {
    first = most_of(first, acc_lo), last = least_of(last, acc_hi);
    if (first <= last) take_larger(best, c * y - m * (m >= 0 ? first : last));
}

/* The largest of c * k - m * accs[k]. */
EVERY_TARGET
UNUSED static int64_t inner_largest(const int64_t *accs, int64_t count, int64_t m, int64_t c) {
    int64_t best = INT64_MIN;
    for (int64_t k = 0; k < count; k++) {
        int64_t value = c * k - m * accs[k];
        best = value > best ? value : best;
    }
    return best;
}

/* Linear in y along equally long steps, so largest at an end or at a breakpoint. First and last step may be cut by acc_lo and acc_hi, so they
   and the ones next to them are ends. Where breakpoints are many, all are looked at together. */
UNUSED static largest_t table_largest(const step_t *step, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi, int64_t lo, int64_t hi) {
    largest_t best = {0, 0};
    const int64_t *starts = step->table;
    int64_t a = lo - step->lo, b = hi - step->lo;
    while (a <= b && starts[a + 1] <= acc_lo) a++;
    while (a <= b && starts[b] > acc_hi) b--;
    if (step->full && b - a > 8 && step->breakpoints[a + 1] < a + 8) {
        take_level(&best, starts[a], starts[a + 1] - 1, a + step->lo, m, c, acc_lo, acc_hi);
        take_level(&best, starts[b], starts[b + 1] - 1, b + step->lo, m, c, acc_lo, acc_hi);
        int64_t last = m < 0; /* the accumulator before the next step */
        take_larger(&best, c * (a + 1 + step->lo) + m * last + inner_largest(starts + a + 1 + last, b - a - 1, m, c));
        return best;
    }
    for (int64_t v = a; v <= b; v = v == a || v >= b - 1 ? v + 1 : step->breakpoints[v] < b - 1 ? step->breakpoints[v] : b - 1)
        take_level(&best, starts[v], starts[v + 1] - 1, v + step->lo, m, c, acc_lo, acc_hi);
    return best;
}

/* Shifts to the right: every level has a step, of the same length as those next to it but for parity (half to even) and sign. So the
   largest is at one of the first or last levels, of which the outermost may be cut, or around quotient 0. */
UNUSED static largest_t right_shift_largest(const step_t *step, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi, int64_t lo, int64_t hi) {
    largest_t best = {0, 0};
    int ends = step->rounding == ROUND_HALF_EVEN ? 3 : 2;
    int64_t a = most_of(lo, shift_apply(step, acc_lo)), b = least_of(hi, shift_apply(step, acc_hi));
    for (int64_t y = a; y <= b; y = y + 1 == a + ends ? most_of(y + 1, b + 1 - ends) : y + 1)
        take_level(&best, step_first(step, y), step_last(step, y), y, m, c, acc_lo, acc_hi);
    if (step->rounding == ROUND_TOWARD_ZERO || step->rounding == ROUND_HALF_AWAY)
        for (int64_t y = most_of(a, step->offset - 1); y <= least_of(b, step->offset + 1); y++)
            take_level(&best, step_first(step, y), step_last(step, y), y, m, c, acc_lo, acc_hi);
    return best;
}

/* Shifts to the left: y is linear in acc where it does not saturate. */
UNUSED static largest_t left_shift_largest(const step_t *step, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi, int64_t lo, int64_t hi) {
    largest_t best = {0, 0};
    int64_t a = most_of(acc_lo, step_first(step, lo)), b = least_of(acc_hi, step_last(step, hi));
    if (a > b) return best;
    int64_t inner = step_first(step, step->lo + 1), outer = step_first(step, step->hi);
    int64_t ends[6] = {a, b, clamp(inner - 1, a, b), clamp(inner, a, b), clamp(outer - 1, a, b), clamp(outer, a, b)};
    for (int k = 0; k < 6; k++) take_larger(&best, c * step_apply(step, ends[k]) - m * ends[k]);
    return best;
}

UNUSED static largest_t points_largest(const step_t *step, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi, int64_t lo, int64_t hi) {
    largest_t best = {0, 0};
    int64_t a = most_of(acc_lo, step_first(step, lo)), b = least_of(acc_hi, step_last(step, hi));
    if (a > b) return best;
    take_larger(&best, c * step_apply(step, a) - m * a);
    take_larger(&best, c * step_apply(step, b) - m * b);
    a = most_of(a, step->first), b = least_of(b, step->first + step->count - 1);
    for (int64_t acc = a; acc <= b; acc++) take_larger(&best, c * step->table[acc - step->first] - m * acc);
    return best;
}

/* The largest c * y - m * acc over the graph with acc in [acc_lo, acc_hi] and y in [lo, hi]; none where no point is left. */
INLINE largest_t step_largest(const step_t *step, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi, int64_t lo, int64_t hi) {
    if (step->kind == STEP_TABLE) return table_largest(step, m, c, acc_lo, acc_hi, lo, hi);
    if (step->kind == STEP_POINTS) return points_largest(step, m, c, acc_lo, acc_hi, lo, hi);
    if (step->kind == STEP_SHIFT && step->shift > 0) return right_shift_largest(step, m, c, acc_lo, acc_hi, lo, hi);
    if (step->kind == STEP_SHIFT) return left_shift_largest(step, m, c, acc_lo, acc_hi, lo, hi);
    largest_t best = {1, c * (c > 0 ? hi : lo) - m * (m > 0 ? acc_lo : acc_hi)};
    return best;
}

#endif
