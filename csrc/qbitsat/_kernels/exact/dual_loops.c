#include "dual.h"

#include <math.h>

#include "vector.h"

/* Scaled multipliers let sums reach about 2**58: rounding may double small ones. */
static const double REACH = 288230376151711744.0;
/* Sums whose magnitudes add up to less than 2**61 stay inside int64, whatever the order and whatever doubles round in adding them up. */
static const double SAFE = 2305843009213693952.0;
static const double MAX_SCALE = 1125899906842624.0; /* 2**50 */
/* Multipliers of 32 bits are fine enough, and several times faster. */
static const double NARROW = 2147483647.0;
static const double TINY = 1e-300;

enum { TOGETHER = 4 };

/* fmin and fmax would be calls, as they look for NaN. */
INLINE double larger(double a, double b) {
    return a > b ? a : b;
}

INLINE double smaller(double a, double b) {
    return a < b ? a : b;
}

INLINE double magnitude(int64_t lo, int64_t hi) {
    return larger(fabs((double)lo), fabs((double)hi));
}

/* Only shares from 0 on prove anything. */
INLINE double share_of(const dual_node_t *node, int a) {
    return larger(node->shares[a], 0); /* NaN is no share */
}

/* The most that a unit of each multiplier can put on any sum, biases left out: with |x| at most its range's larger end,
   |acc| + largest weight * sum |x|; and 1 for the multiplier itself. */
static void weigh(const blocks_t *plan, const dual_node_t *node) {
    for (int k = 0; k < plan->num_blocks; k++) {
        const block_t *block = &plan->blocks[k];
        double sum = 0;
        for (int j = block->source; j < block->source + block->n_in; j++) sum += magnitude(node->ranges.lo[j], node->ranges.hi[j]);
        for (int i = block->neuron; i < block->neuron + block->n_out; i++)
            node->weights[i] = magnitude(node->ranges.acc_lo[i], node->ranges.acc_hi[i]) + block->heaviest * sum + 1;
    }
}

static double atom_weight(const atom_t *atom, const dual_node_t *node) {
    double weight = 0;
    for (int k = 0; k < atom->size; k++) {
        int64_t v = atom->values[k];
        weight += fabs((double)atom->coefficients[k]) * (magnitude(node->ranges.lo[v], node->ranges.hi[v]) + 1);
    }
    return weight;
}

/* The power of two that turns the floats into integers as fine as int64 allows; 0 if they are no finite numbers or leave it. */
static double scale_of(const blocks_t *plan, const dual_node_t *node) {
    double size = 0, largest = 0;
    int exponent;
    for (int a = 0; a < node->num_atoms; a++) size += share_of(node, a) * atom_weight(&node->all[node->atoms[a]], node);
    for (int i = 0; i < plan->num_neurons; i++) {
        double m = fabs((double)node->multipliers[i]);
        size += m * node->weights[i];
        largest = larger(largest, m);
    }
    if (!(size < SAFE)) return 0;
    frexp(smaller(MAX_SCALE, larger(1, smaller(NARROW / larger(largest, TINY), REACH / larger(size, TINY)))), &exponent);
    return ldexp(1, exponent - 1);
}

/* Whether no sum over these integers can leave int64. Every product and partial sum is one of the terms, or a sum of some: a coefficient
   behind a layer is at most what inequalities put on it and the sum of |multiplier| * largest weight. */
static int fits(const blocks_t *plan, const dual_node_t *node) {
    double size = 0;
    for (int a = 0; a < node->num_atoms; a++) {
        const atom_t *atom = &node->all[node->atoms[a]];
        size += (double)node->whole_shares[a] * (atom_weight(atom, node) + fabs((double)atom->bound));
    }
    for (int k = 0; k < plan->num_blocks; k++) {
        const block_t *block = &plan->blocks[k];
        for (int i = 0; i < block->n_out; i++) {
            int n = block->neuron + i;
            size += fabs((double)node->whole_multipliers[n]) * (node->weights[n] + block->heaviest + fabs((double)block->bias[i]));
        }
    }
    return size < SAFE;
}

/* sum += the rows times their multipliers, of which 32 bits let vector instructions multiply into 64. */
EVERY_TARGET
static void add_rows(int64_t *restrict sum, const int32_t *const *rows, const int64_t *multipliers, int n_in) {
    const int32_t *restrict a = rows[0], *restrict b = rows[1], *restrict c = rows[2], *restrict d = rows[3];
    int32_t p = (int32_t)multipliers[0], q = (int32_t)multipliers[1], r = (int32_t)multipliers[2], s = (int32_t)multipliers[3];
    for (int j = 0; j < n_in; j++) sum[j] += ((int64_t)p * a[j] + (int64_t)q * b[j]) + ((int64_t)r * c[j] + (int64_t)s * d[j]);
}

/* sum += multipliers . matrix */
static void add_multiples(int64_t *sum, const block_t *block, const int64_t *multipliers) {
    const int32_t *rows[TOGETHER];
    int64_t narrow[TOGETHER];
    int filled = 0;
    for (int i = 0; i < block->n_out; i++) {
        const int32_t *row = block->matrix + (int64_t)i * block->n_in;
        int64_t m = multipliers[i];
        if (m == 0) continue;
        if ((int32_t)m != m) {
            for (int j = 0; j < block->n_in; j++) sum[j] += m * row[j];
            continue;
        }
        rows[filled] = row, narrow[filled] = m;
        if (++filled == TOGETHER) add_rows(sum, rows, narrow, block->n_in), filled = 0;
    }
    if (!filled) return;
    for (int k = filled; k < TOGETHER; k++) rows[k] = rows[0], narrow[k] = 0;
    add_rows(sum, rows, narrow, block->n_in);
}

/* best = max of c * v - m * acc over the steps v in [lo, hi] that reach into [acc_lo, acc_hi], acc the smallest for m >= 0, else the
   largest, of a step. That is linear in v along equally long steps, so it is largest at an end or at a bend. First and last step may be
   cut by acc_lo and acc_hi, so they and the ones next to them are ends. False if there is no such step. */
static int largest_step(const int64_t *steps, const int32_t *bends, int64_t y_min, int64_t m, int64_t c, int64_t acc_lo, int64_t acc_hi,
                        int64_t lo, int64_t hi, int64_t *best) {
    int64_t a = lo - y_min, b = hi - y_min;
    int found = 0;
    while (a <= b && steps[a + 1] <= acc_lo) a++;
    while (a <= b && steps[b] > acc_hi) b--;
    for (int64_t v = a; v <= b; v = v == a || v >= b - 1 ? v + 1 : bends[v] < b - 1 ? bends[v] : b - 1) {
        int64_t first = acc_lo > steps[v] ? acc_lo : steps[v];
        int64_t last = acc_hi < steps[v + 1] - 1 ? acc_hi : steps[v + 1] - 1;
        if (first > last) continue;
        int64_t value = c * (v + y_min) - m * (m >= 0 ? first : last);
        if (!found || value > *best) *best = value;
        found = 1;
    }
    return found;
}

/* total += the largest of sum c y - m acc over the layer's outputs, with the biases of their accumulators. */
static int add_outputs(const blocks_t *plan, const block_t *block, const dual_node_t *node, int64_t *total) {
    for (int i = 0; i < block->n_out; i++) {
        int n = block->neuron + i, v = plan->num_inputs + n;
        int64_t m = node->whole_multipliers[n], c = node->coefficients[v], best = 0;
        int64_t lo = node->ranges.lo[v], hi = node->ranges.hi[v], acc_lo = node->ranges.acc_lo[n], acc_hi = node->ranges.acc_hi[n];
        if (block->channels) {
            int64_t k = i % block->channels;
            if (lo < block->y_min || hi >= block->y_min + block->levels) return DUAL_FAULT;
            if (!largest_step(block->steps + k * (block->levels + 1), block->bends + k * block->levels, block->y_min, m, c, acc_lo, acc_hi,
                              lo, hi, &best))
                return DUAL_EMPTY;
        } else {
            best = c * (c > 0 ? hi : lo) - m * (m > 0 ? acc_lo : acc_hi);
        }
        *total += m * block->bias[i] + best;
    }
    return DUAL_BOUND;
}

int dual_bound(const blocks_t *plan, const dual_node_t *node, int64_t *bound) {
    weigh(plan, node);
    double scale = scale_of(plan, node);
    if (scale == 0) return DUAL_NOTHING;
    for (int a = 0; a < node->num_atoms; a++) {
        double share = rint(share_of(node, a) * scale);
        if (!(share < SAFE)) return DUAL_NOTHING; /* of an inequality without values, which weighs nothing */
        node->whole_shares[a] = (int64_t)share;
    }
    for (int i = 0; i < plan->num_neurons; i++) node->whole_multipliers[i] = (int64_t)rint(node->multipliers[i] * scale);
    if (!fits(plan, node)) return DUAL_OVERFLOW;
    int64_t *c = node->coefficients;
    for (int v = 0; v < plan->num_inputs + plan->num_neurons; v++) c[v] = 0;
    int64_t total = 0;
    for (int a = 0; a < node->num_atoms; a++) {
        const atom_t *atom = &node->all[node->atoms[a]];
        for (int k = 0; k < atom->size; k++) c[atom->values[k]] -= node->whole_shares[a] * atom->coefficients[k];
        total += node->whole_shares[a] * atom->bound;
    }
    for (int k = plan->num_blocks - 1; k >= 0; k--) {
        const block_t *block = &plan->blocks[k];
        int state = add_outputs(plan, block, node, &total);
        if (state != DUAL_BOUND) return state;
        add_multiples(c + block->source, block, node->whole_multipliers + block->neuron);
    }
    for (int v = 0; v < plan->num_inputs; v++) total += c[v] * (c[v] > 0 ? node->ranges.hi[v] : node->ranges.lo[v]);
    *bound = total;
    return DUAL_BOUND;
}
