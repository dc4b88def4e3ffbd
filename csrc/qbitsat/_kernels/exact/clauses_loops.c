#include "clauses.h"

#include "step.h"

/* A node is held against clauses so many times at most, as each cut may let others cut. */
enum { PASSES = 3 };
/* What a clause says of a node: nothing, or all of it lies within, or it cuts the range of one value. */
enum { NOTHING, CUTS, WITHIN };

/* Ranges beyond 32 bits end there: a clause, whose literals are of 32 bits, may be looked at in vain. */
INLINE int32_t narrow_end(int64_t end) {
    return (int32_t)clamp(end, INT32_MIN, INT32_MAX);
}

static void measure(int nodes, int num_values, const int64_t *lo, const int64_t *hi, spread_t s) {
    for (int v = 0; v < num_values; v++) {
        s.least_lo[v] = s.most_lo[v] = narrow_end(lo[v]);
        s.least_hi[v] = s.most_hi[v] = narrow_end(hi[v]);
    }
    for (int k = 1; k < nodes; k++)
        for (int v = 0; v < num_values; v++) {
            int32_t a = narrow_end(lo[(int64_t)k * num_values + v]), b = narrow_end(hi[(int64_t)k * num_values + v]);
            s.least_lo[v] = a < s.least_lo[v] ? a : s.least_lo[v];
            s.most_lo[v] = a > s.most_lo[v] ? a : s.most_lo[v];
            s.least_hi[v] = b < s.least_hi[v] ? b : s.least_hi[v];
            s.most_hi[v] = b > s.most_hi[v] ? b : s.most_hi[v];
        }
}

/* Whether no node has any of the literal's range; whether none is within it. */
INLINE int all_apart(spread_t s, int32_t v, int32_t lo, int32_t hi) {
    return (s.least_lo[v] > hi) | (s.most_hi[v] < lo);
}

INLINE int none_within(spread_t s, int32_t v, int32_t lo, int32_t hi) {
    return (s.most_lo[v] < lo) | (s.least_hi[v] > hi);
}

/* Clauses that watched literals do not rule out for all nodes. */
EVERY_TARGET static void filter(const clauses_t *clauses, spread_t s, uint8_t *restrict maybe) {
    const int32_t *w = clauses->watched;
    int64_t n = clauses->stride;
    for (int k = 0; k < clauses->count; k++) {
        int32_t a = w[k], b = w[3 * n + k];
        int out = all_apart(s, a, w[n + k], w[2 * n + k]);
        maybe[k] = (uint8_t)!(out | (none_within(s, a, w[n + k], w[2 * n + k]) & none_within(s, b, w[4 * n + k], w[5 * n + k])));
    }
}

INLINE void watch(const clauses_t *clauses, int k, int which, literal_t literal) {
    int32_t *w = clauses->watched + 3 * which * clauses->stride + k;
    w[0] = literal.value;
    w[clauses->stride] = literal.lo;
    w[2 * clauses->stride] = literal.hi;
}

/* As the first; the second stays another one. */
static void watch_first(const clauses_t *clauses, int k, literal_t literal) {
    const int32_t *w = clauses->watched + k;
    int64_t n = clauses->stride;
    if (w[3 * n] == literal.value) watch(clauses, k, 1, (literal_t){w[0], w[n], w[2 * n]});
    watch(clauses, k, 0, literal);
}

/* Whether some node may have one literal at most that it is not within, and that one in part. What rules that out is watched from now on: the
   next nodes are like these. */
static int is_near(const clauses_t *clauses, int k, spread_t s) {
    const literal_t *literals = clauses->literals + (int64_t)k * clauses->most;
    int missed = -1, both = -1;
    for (int i = 0; i < clauses->sizes[k]; i++) {
        int32_t v = literals[i].value, lo = literals[i].lo, hi = literals[i].hi;
        if (all_apart(s, v, lo, hi)) {
            watch_first(clauses, k, literals[i]);
            return 0;
        }
        if (both >= 0 || !none_within(s, v, lo, hi)) continue;
        if (missed >= 0) both = i;
        else missed = i;
    }
    if (both < 0) return 1;
    watch(clauses, k, 0, literals[missed]);
    watch(clauses, k, 1, literals[both]);
    return 0;
}

int clauses_near(const clauses_t *clauses, int nodes, int num_values, const int64_t *lo, const int64_t *hi, spread_t spread, uint8_t *maybe,
                 int32_t *chosen) {
    int count = 0;
    measure(nodes, num_values, lo, hi, spread);
    filter(clauses, spread, maybe);
    for (int k = 0; k < clauses->count; k++)
        if (maybe[k] && is_near(clauses, k, spread)) chosen[count++] = k;
    return count;
}

INLINE void swap(literal_t *a, literal_t *b) {
    literal_t kept = *a;
    *a = *b;
    *b = kept;
}

/* Literals that rule a node out go to the front: they will do the same with the next one. */
static int meet(literal_t *literals, int size, const int64_t *lo, const int64_t *hi, cut_t *cut) {
    int missed = -1;
    for (int i = 0; i < size; i++) {
        int v = literals[i].value;
        if (lo[v] >= literals[i].lo && hi[v] <= literals[i].hi) continue;
        if (missed >= 0 || lo[v] > literals[i].hi || hi[v] < literals[i].lo) {
            swap(&literals[0], &literals[i]);
            if (missed > 0) swap(&literals[1], &literals[missed]);
            return NOTHING;
        }
        missed = i;
    }
    cut->value = -1;
    if (missed < 0) return WITHIN;
    literal_t literal = literals[missed];
    cut->value = literal.value;
    cut->above = lo[literal.value] >= literal.lo;
    cut->at = cut->above ? (int64_t)literal.hi + 1 : literal.lo;
    /* The clause has one end of the range: else a cut would leave two parts. */
    return cut->above || hi[literal.value] <= literal.hi ? CUTS : NOTHING;
}

int clauses_cut(const clauses_t *clauses, int num_chosen, const int32_t *chosen, int32_t branch, int64_t *lo, int64_t *hi, cut_t *cuts,
                int room) {
    int count = 0, again = 1;
    for (int pass = 0; again && pass < PASSES; pass++) {
        again = 0;
        for (int i = 0; i < num_chosen && count < room; i++) {
            int k = chosen[i];
            if (clauses->branches[k] >= 0 && clauses->branches[k] != branch) continue;
            cut_t *cut = &cuts[count];
            int what = meet(clauses->literals + (int64_t)k * clauses->most, clauses->sizes[k], lo, hi, cut);
            if (what == NOTHING) continue;
            cut->clause = k;
            count++;
            if (what == WITHIN) return count;
            if (cut->above) lo[cut->value] = cut->at;
            else hi[cut->value] = cut->at - 1;
            again = 1;
        }
    }
    return count;
}
