/* What two neurons with a known difference of accumulators say of each other, and of the difference of their outputs: see pair_t in layer.h. */
#ifndef QBITSAT_PAIR_LOOPS_H
#define QBITSAT_PAIR_LOOPS_H

#include "step.h"

/* Differences of outputs with more levels are left as they are. */
#define MOST_LEVELS 4096

/* The range of one neuron, output and accumulator. */
typedef struct {
    int64_t *lo, *hi, *acc_lo, *acc_hi;
} neuron_t;

INLINE neuron_t neuron_at(const layers_t *plan, ranges_t node, int n) {
    int v = plan->num_inputs + n;
    return (neuron_t){&node.lo[v], &node.hi[v], &node.acc_lo[n], &node.acc_hi[n]};
}

INLINE int cut_output(neuron_t of, int64_t lo, int64_t hi) {
    *of.lo = most_of(*of.lo, lo);
    *of.hi = least_of(*of.hi, hi);
    return *of.lo <= *of.hi;
}

INLINE int cut_accumulator(neuron_t of, int64_t lo, int64_t hi) {
    *of.acc_lo = most_of(*of.acc_lo, lo);
    *of.acc_hi = least_of(*of.acc_hi, hi);
    return *of.acc_lo <= *of.acc_hi;
}

INLINE int same_step(const step_t *a, const step_t *b) {
    return a->kind == b->kind && a->lo == b->lo && a->hi == b->hi && a->shift == b->shift && a->rounding == b->rounding && a->offset == b->offset &&
           a->first == b->first && a->table == b->table;
}

/* The smallest and the largest y_a - y_b over the accumulators of both whose difference is from e_lo to e_hi. Where y_b stays the same y_a grows with
   acc_b, so the ends of the levels of b are enough. */
INLINE int differences(const pair_t *pair, neuron_t a, neuron_t b, int64_t e_lo, int64_t e_hi, int64_t *least, int64_t *most) {
    int64_t first = most_of(*b.lo, step_apply(pair->step_b, *b.acc_lo)), last = least_of(*b.hi, step_apply(pair->step_b, *b.acc_hi));
    int found = 0;
    for (int64_t y = first; y <= last; y++) {
        int64_t begin = most_of(*b.acc_lo, step_first(pair->step_b, y)), end = least_of(*b.acc_hi, step_last(pair->step_b, y));
        if (begin > end) continue;
        int64_t low = step_apply(pair->step_a, most_of(*a.acc_lo, begin + e_lo)) - y;
        int64_t high = step_apply(pair->step_a, least_of(*a.acc_hi, end + e_hi)) - y;
        *least = found ? least_of(*least, low) : low;
        *most = found ? most_of(*most, high) : high;
        found = 1;
    }
    return found;
}

/* False if nothing is left. */
INLINE int settle_pair(const layers_t *plan, const pair_t *pair, ranges_t node) {
    neuron_t a = neuron_at(plan, node, pair->a), b = neuron_at(plan, node, pair->b), d = neuron_at(plan, node, pair->d);
    int64_t e_lo = pair->e < 0 ? pair->e_lo : node.acc_lo[pair->e], e_hi = pair->e < 0 ? pair->e_hi : node.acc_hi[pair->e];
    if (!cut_accumulator(a, *b.acc_lo + e_lo, *b.acc_hi + e_hi) || !cut_accumulator(b, *a.acc_lo - e_hi, *a.acc_hi - e_lo)) return 0;
    if (!cut_output(a, step_apply(pair->step_a, *a.acc_lo), step_apply(pair->step_a, *a.acc_hi))) return 0;
    if (!cut_output(b, step_apply(pair->step_b, *b.acc_lo), step_apply(pair->step_b, *b.acc_hi))) return 0;
    int64_t least = 0, most = 0;
    int known = e_lo == 0 && e_hi == 0 && same_step(pair->step_a, pair->step_b);
    if (!known && *b.hi - *b.lo < MOST_LEVELS) {
        if (!differences(pair, a, b, e_lo, e_hi, &least, &most)) return 0;
        known = 1;
    }
    if (known && !(cut_output(d, least, most) && cut_accumulator(d, least, most))) return 0;
    if (!cut_output(a, *b.lo + *d.lo, *b.hi + *d.hi) || !cut_output(b, *a.lo - *d.hi, *a.hi - *d.lo)) return 0;
    return cut_accumulator(a, step_first(pair->step_a, *a.lo), step_last(pair->step_a, *a.hi)) &&
           cut_accumulator(b, step_first(pair->step_b, *b.lo), step_last(pair->step_b, *b.hi));
}

#endif
