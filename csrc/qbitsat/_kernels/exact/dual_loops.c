#include "dual.h"

#include <math.h>
#include <stdlib.h>

#include "interval_loops.h"
#include "step.h"

/* Scaled multipliers let sums reach about 2**58: rounding may double small ones. */
static const double REACH = 288230376151711744.0;
/* Sums whose magnitudes add up to less than 2**61 stay inside int64, whatever the order and whatever doubles round in adding them up. */
static const double SAFE = 2305843009213693952.0;
static const double MAX_SCALE = 1125899906842624.0; /* 2**50 */
/* Multipliers of 32 bits are fine enough, and several times faster. */
static const double NARROW = 2147483647.0;
static const double TINY = 1e-300;

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

/* Whether group g of position p has a multiplier that is not 0, or there are none yet. */
INLINE int has_multiplier(const layer_t *layer, const float *multipliers, int p, int g) {
    if (!multipliers) return 1;
    const float *mine = multipliers + ((int64_t)p * layer->groups + g) * layer->channels;
    for (int c = 0; c < layer->channels; c++)
        if (mine[c] != 0) return 1;
    return 0;
}

/* sums[i] = the magnitudes of all cells that accumulator i reads, 0 where multipliers are, if there are any. */
static void sum_magnitudes(const layer_t *layer, const double *restrict cells, const float *multipliers, double *restrict sums) {
    if (layer->kind == LAYER_ROWS) {
        for (int i = 0; i < layer->n_out; i++) {
            sums[i] = 0;
            for (int64_t k = layer->indptr[i]; (!multipliers || multipliers[i] != 0) && k < layer->indptr[i + 1]; k++)
                sums[i] += cells[layer->indices[k]];
        }
        return;
    }
    for (int p = 0; p < layer->positions; p++) {
        if (layer->kind == LAYER_LANES) {
            double *mine = sums + (int64_t)p * layer->groups;
            for (int g = 0; g < layer->groups; g++) mine[g] = 0;
            for (int k = 0; k < layer->taps; k++)
                for (int g = 0; g < layer->groups; g++) mine[g] += cells[layer->start[p] + layer->offset[k] + g];
            continue;
        }
        for (int g = 0; g < layer->groups; g++) {
            const double *first = cells + layer->start[p] + (int64_t)g * layer->stride;
            double sum = 0, *mine = sums + ((int64_t)p * layer->groups + g) * layer->channels;
            if (has_multiplier(layer, multipliers, p, g))
                for (int k = 0; k < layer->taps; k++) sum += first[layer->offset[k]];
            for (int c = 0; c < layer->channels; c++) mine[c] = sum;
        }
    }
}

/* The most that a unit of each multiplier can put on any sum, biases left out: with |x| at most its range's larger end,
   |acc| + largest weight * sum |x| over its cells; and 1 for the multiplier itself. A value that several cells show, or several
   layers, counts as often: so does what multipliers put on it. */
static void weigh(const layers_t *plan, const dual_node_t *node, const float *multipliers) {
    for (int k = 0; k < plan->num_layers; k++) {
        const layer_t *layer = &plan->layers[k];
        double *sums = node->weights + layer->neuron;
        for (int j = 0; j < layer->n_in; j++) {
            int v = layer->view[j];
            node->magnitudes[j] = v >= 0 ? magnitude(node->ranges.lo[v], node->ranges.hi[v]) : fabs((double)layer->padding);
        }
        sum_magnitudes(layer, node->magnitudes, multipliers ? multipliers + layer->neuron : 0, sums);
        for (int i = 0; i < layer->n_out; i++) {
            int n = layer->neuron + i;
            sums[i] = magnitude(node->ranges.acc_lo[n], node->ranges.acc_hi[n]) + layer->max_weight * sums[i] + 1;
        }
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
static double scale_of(const layers_t *plan, const dual_node_t *node) {
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
   behind layers, or what falls on padding, is at most what inequalities put on it and the sum of |multiplier| * largest weight for each
   cell that shows it. */
static int fits(const layers_t *plan, const dual_node_t *node) {
    double size = 0;
    for (int a = 0; a < node->num_atoms; a++) {
        const atom_t *atom = &node->all[node->atoms[a]];
        size += (double)node->whole_shares[a] * (atom_weight(atom, node) + fabs((double)atom->bound));
    }
    for (int k = 0; k < plan->num_layers; k++) {
        const layer_t *layer = &plan->layers[k];
        double most = layer->max_weight * (layer->kind == LAYER_ROWS ? layer->n_in : layer->taps);
        for (int i = 0; i < layer->n_out; i++) {
            int n = layer->neuron + i;
            size += fabs((double)node->whole_multipliers[n]) * (node->weights[n] + most + fabs((double)layer->bias[i]));
        }
    }
    return size < SAFE;
}

/* Whether a neuron's range leaves its steps. */
INLINE int leaves_steps(const step_t *step, const ranges_t *ranges, int v) { return step->kind != STEP_NONE && (ranges->lo[v] < step->lo || ranges->hi[v] > step->hi); }

/* total += the largest of sum c y - m acc over the layer's outputs, with the biases of their accumulators. */
static int add_outputs(const layers_t *plan, const layer_t *layer, const dual_node_t *node, int64_t *total) {
    for (int i = 0; i < layer->n_out; i++) {
        const step_t *step = step_of(layer, i);
        int n = layer->neuron + i, v = plan->num_inputs + n;
        int64_t m = node->whole_multipliers[n], c = node->coefficients[v];
        if (node->possible && !m && !c) continue; /* nearly all, where bounds of a neuron behind a convolution are proved */
        if (leaves_steps(step, &node->ranges, v)) return DUAL_FAULT;
        largest_t best = step_largest(step, m, c, node->ranges.acc_lo[n], node->ranges.acc_hi[n], node->ranges.lo[v], node->ranges.hi[v]);
        if (!best.found) return DUAL_EMPTY;
        *total += m * layer->bias[i] + best.value;
    }
    return DUAL_BOUND;
}

/* What the layer's multipliers put on the values that it reads; returns what they put on padding. */
static int64_t add_cells(const layer_t *layer, const dual_node_t *node) {
    const int64_t *multipliers = node->whole_multipliers + layer->neuron;
    const room_t *room = node->room;
    int fit = 1;
    for (int i = 0; i < layer->n_out; i++) {
        room->narrow_outputs[i] = (int32_t)multipliers[i];
        fit &= room->narrow_outputs[i] == multipliers[i];
    }
    if (fit) narrow_back(layer, layer->rows, room->narrow_outputs, room->taps, room->sum);
    else wide_back(layer, layer->rows, multipliers, room->taps, room->sum);
    return wide_scatter(layer, room->sum, node->coefficients) * layer->padding;
}

void dual_weigh(const layers_t *plan, dual_node_t *node) {
    weigh(plan, node, 0);
    node->weighed = node->possible = 1;
    for (int k = 0; k < plan->num_layers; k++)
        for (int i = 0; i < plan->layers[k].n_out; i++) {
            const step_t *step = step_of(&plan->layers[k], i);
            int n = plan->layers[k].neuron + i, v = plan->num_inputs + n;
            const ranges_t *r = &node->ranges;
            node->possible &= !leaves_steps(step, r, v) && step_largest(step, 0, 0, r->acc_lo[n], r->acc_hi[n], r->lo[v], r->hi[v]).found;
        }
}

int dual_bound(const layers_t *plan, const dual_node_t *node, int64_t *bound) {
    if (!node->weighed) weigh(plan, node, node->multipliers);
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
    for (int k = plan->num_layers - 1; k >= 0; k--) {
        int state = add_outputs(plan, &plan->layers[k], node, &total);
        if (state != DUAL_BOUND) return state;
        total += add_cells(&plan->layers[k], node);
    }
    for (int v = 0; v < plan->num_inputs; v++) total += c[v] * (c[v] > 0 ? node->ranges.hi[v] : node->ranges.lo[v]);
    *bound = total;
    return DUAL_BOUND;
}

/* By how much a value's term of D is larger in the node than within [lo, hi], where some of the node's points are. layer: whose output it is; none
   of an input. */
static int64_t growth_of(const layers_t *plan, const dual_node_t *node, const layer_t *layer, int v, int64_t lo, int64_t hi) {
    const ranges_t *r = &node->ranges;
    int64_t c = node->coefficients[v];
    if (!layer) return c * (c > 0 ? r->hi[v] - hi : r->lo[v] - lo);
    int n = v - plan->num_inputs;
    const step_t *step = step_of(layer, n - layer->neuron);
    int64_t m = node->whole_multipliers[n], acc_lo = r->acc_lo[n], acc_hi = r->acc_hi[n];
    return step_largest(step, m, c, acc_lo, acc_hi, r->lo[v], r->hi[v]).value - step_largest(step, m, c, acc_lo, acc_hi, lo, hi).value;
}

static int by_growth(const void *a, const void *b) {
    const need_t *p = a, *q = b;
    if (p->growth != q->growth) return p->growth < q->growth ? 1 : -1;
    return p->value - q->value; /* qsort keeps no order */
}

/* Move both ends of a need out, the upper one first, as far as its growth falls by no more than `room`; by how much it falls. */
static int64_t loosen(const layers_t *plan, const dual_node_t *node, const layer_t *layer, need_t *need, int64_t room) {
    int64_t before = need->growth;
    for (int upper = 1; upper >= 0; upper--) {
        int64_t near = upper ? need->hi : need->lo, far = upper ? node->ranges.hi[need->value] : node->ranges.lo[need->value], next = far;
        while (near != far) { /* the first try is all of it */
            int64_t growth = growth_of(plan, node, layer, need->value, upper ? need->lo : next, upper ? next : need->hi);
            if (before - growth <= room) near = next, need->growth = growth;
            else far = upper ? next - 1 : next + 1;
            next = upper ? near + (far - near + 1) / 2 : near - (near - far + 1) / 2;
        }
        if (upper) need->hi = near;
        else need->lo = near;
    }
    return before - need->growth;
}

int dual_explain(const layers_t *plan, const dual_node_t *node, int64_t bound, const int64_t *lo, const int64_t *hi, int most,
                 need_t *needs) {
    int count = 0, k = 0;
    for (int v = 0; v < plan->num_inputs + plan->num_neurons; v++) {
        int n = v - plan->num_inputs;
        if (!node->coefficients[v] && (n < 0 || !node->whole_multipliers[n])) continue; /* D says nothing of it */
        need_t need = {v, -1, most_of(lo[v], node->ranges.lo[v]), least_of(hi[v], node->ranges.hi[v]), 0};
        if (need.lo > need.hi) return -1;
        if (need.lo == node->ranges.lo[v] && need.hi == node->ranges.hi[v]) continue;
        while (n >= 0 && k + 1 < plan->num_layers && plan->layers[k + 1].neuron <= n) k++;
        if (n >= 0) need.layer = k;
        need.growth = growth_of(plan, node, n < 0 ? 0 : &plan->layers[k], v, need.lo, need.hi);
        needs[count++] = need;
    }
    for (int j = 0; j < count; j++) bound -= needs[j].growth;
    if (bound >= 0) return -1;
    qsort(needs, count, sizeof(need_t), by_growth);
    int64_t slack = -1 - bound;
    while (count && needs[count - 1].growth <= slack) slack -= needs[--count].growth;
    if (count > most) return -1;
    for (int j = count - 1; j >= 0; j--) {
        const layer_t *layer = needs[j].layer < 0 ? 0 : &plan->layers[needs[j].layer];
        slack -= loosen(plan, node, layer, &needs[j], slack / (j + 1));
    }
    return count;
}
