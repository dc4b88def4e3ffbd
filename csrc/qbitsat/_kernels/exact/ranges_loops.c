#include "ranges.h"

#include <float.h>
#include <math.h>

#include "interval_loops.h"
#include "pair_loops.h"
#include "step.h"

int within_steps(const layers_t *plan, ranges_t node) {
    for (const layer_t *layer = plan->layers; layer < plan->layers + plan->num_layers; layer++)
        for (int i = 0; i < layer->n_out; i++) {
            const step_t *step = step_of(layer, i);
            int64_t lo = node.lo[plan->num_inputs + layer->neuron + i], hi = node.hi[plan->num_inputs + layer->neuron + i];
            if (step->kind != STEP_NONE && (lo < step->lo || lo > step->hi || hi < step->lo || hi > step->hi)) return 0;
        }
    return 1;
}

/* Accumulators from what they read. */
static void read_values(const layer_t *layer, ranges_t node, const room_t *room) {
    accumulate_ranges(layer, node.lo, node.hi, room, room->low, room->high);
    for (int i = 0; i < layer->n_out; i++) {
        int64_t *lo = &node.acc_lo[layer->neuron + i], *hi = &node.acc_hi[layer->neuron + i];
        *lo = most_of(*lo, room->low[i]);
        *hi = least_of(*hi, room->high[i]);
    }
}

/* Outputs from accumulators and back. */
static int requantize(const layer_t *layer, ranges_t node, int num_inputs) {
    for (int i = 0; i < layer->n_out; i++) {
        const step_t *step = step_of(layer, i);
        int n = layer->neuron + i, v = num_inputs + n;
        if (step->kind != STEP_NONE) {
            node.lo[v] = most_of(node.lo[v], step_apply(step, node.acc_lo[n]));
            node.hi[v] = least_of(node.hi[v], step_apply(step, node.acc_hi[n]));
            if (node.lo[v] > node.hi[v]) return 0;
            node.acc_lo[n] = most_of(node.acc_lo[n], step_first(step, node.lo[v]));
            node.acc_hi[n] = least_of(node.acc_hi[n], step_last(step, node.hi[v]));
        }
        if (node.acc_lo[n] > node.acc_hi[n]) return 0;
    }
    return 1;
}

int propagate(const layers_t *plan, ranges_t node, int inputs, int64_t first, const room_t *room) {
    const pair_t *pair = plan->pairs;
    for (const layer_t *layer = plan->layers + first; layer < plan->layers + plan->num_layers; layer++) {
        if (inputs || (layer->reads_neurons && layer > plan->layers + first)) read_values(layer, node, room);
        if (!requantize(layer, node, plan->num_inputs)) return 0;
        for (; pair < plan->pairs + plan->num_pairs && pair->d < layer->neuron + layer->n_out; pair++)
            if (!settle_pair(plan, pair, node)) return 0;
    }
    return 1;
}

/* The smallest of a coefficient times its value for sign 1, the largest for -1. */
INLINE int64_t end_of(const atom_t *atom, int k, ranges_t node, int sign) {
    int64_t c = atom->coefficients[k], v = atom->values[k];
    return c * (c * sign > 0 ? node.lo[v] : node.hi[v]);
}

/* The same of the whole sum, less its bound. */
static int64_t reach(const atom_t *atom, ranges_t node, int sign) {
    int64_t total = -atom->bound;
    for (int k = 0; k < atom->size; k++) total += end_of(atom, k, node, sign);
    return total;
}

int narrow(const atom_t *all, const int32_t *atoms, int num_atoms, const uint8_t *cuttable, ranges_t node) {
    for (int a = 0; a < num_atoms; a++) {
        const atom_t *atom = &all[atoms[a]];
        int64_t room = -reach(atom, node, 1);
        if (room < 0) return 0;
        for (int k = 0; k < atom->size; k++) {
            int64_t c = atom->coefficients[k], v = atom->values[k];
            if (!cuttable[v]) continue;
            /* c * v may be at most `room` above its smallest value, which is at the end that stays. */
            if (c > 0) node.hi[v] = least_of(node.hi[v], node.lo[v] + room / c);
            if (c < 0) node.lo[v] = most_of(node.lo[v], node.hi[v] - room / -c);
        }
    }
    return 1;
}

int undecided(const atom_t *all, const int32_t *atoms, int num_atoms, ranges_t node, int32_t *open, int32_t *slots) {
    int count = 0;
    for (int a = 0; a < num_atoms; a++)
        if (reach(&all[atoms[a]], node, -1) > 0) open[count] = atoms[a], slots[count++] = a;
    return count;
}

/* Two vertices on one side of the graph of steps, each an accumulator and an output, from the lower to the upper one. */
typedef struct {
    double acc[2], y[2];
} side_t;

/* How far a begin (or, for sign -1, an end) of a step lies outside of a side: before it (or behind it). */
INLINE void take_outside(const side_t *side, double slope, int sign, double acc, double y, double *most) {
    double outside = sign * (side->acc[0] + slope * (y - side->y[0]) - acc);
    *most = outside > *most ? outside : *most;
}

/* The same, the largest of all steps between the side's. Of shifts to the right only steps at ends and around 0 differ from the others;
   those to the left pass over outputs, and what is outside is less than an accumulator. */
static double most_outside(const step_t *step, const side_t *side, int64_t lo, int64_t hi, int sign) {
    double slope = (side->acc[1] - side->acc[0]) / (double)(hi - lo), most = 0;
    if (step->kind == STEP_TABLE) {
        const int64_t *table = step->table - step->lo + (sign < 0);
        for (int64_t y = lo + 1; y < hi; y++) take_outside(side, slope, sign, (double)(table[y] - (sign < 0)), (double)y, &most);
    } else if (step->kind == STEP_POINTS) {
        for (int64_t k = 0; k < step->count; k++) {
            int64_t y = step->table[k];
            if (y > lo && y < hi) take_outside(side, slope, sign, (double)(step->first + k), (double)y, &most);
        }
    } else if (step->shift > 0) {
        int64_t levels[5] = {lo + 1, hi - 1, step->offset - 1, step->offset, step->offset + 1};
        for (int k = 0; k < 5; k++) {
            int64_t y = levels[k], acc = sign > 0 ? step_first(step, y) : step_last(step, y);
            if (y > lo && y < hi) take_outside(side, slope, sign, (double)acc, (double)y, &most);
        }
    }
    return most;
}

/* Move a side out until no step is outside, and its vertices along it into the range of accumulators. */
static void widen(const step_t *step, side_t *side, int64_t lo, int64_t hi, int64_t end, int sign) {
    double most = hi - lo > 1 ? most_outside(step, side, lo, hi, sign) : 0;
    if (!(most > 0)) return;
    double slope = (side->y[1] - side->y[0]) / (side->acc[1] - side->acc[0]);
    for (int k = 0; k < 2; k++) {
        double acc = side->acc[k] - sign * most, beyond = sign * ((double)end - acc);
        side->acc[k] = beyond > 0 ? (double)end : acc;
        if (beyond > 0 && slope * beyond < (double)(hi - lo)) side->y[k] += sign * slope * beyond;
        side->y[k] = side->y[k] > (double)hi ? (double)hi : side->y[k] < (double)lo ? (double)lo : side->y[k];
    }
}

/* acc and y hold six points of each neuron, `stride` apart: begins of the first, second and last step, ends of the first, last but
   one and last; moved out where steps between them are not as long. */
static void vertices_of(const step_t *step, const int64_t *range, float *acc, float *y, int stride) {
    int64_t lo = range[0], hi = range[1], acc_lo = range[2], acc_hi = range[3], second = least_of(lo + 1, hi), before = most_of(hi - 1, lo);
    int64_t begin[2] = {most_of(acc_lo, step_first(step, second)), most_of(acc_lo, step_first(step, hi))};
    int64_t end[2] = {least_of(acc_hi, step_last(step, lo)), least_of(acc_hi, step_last(step, before))};
    side_t begins = {{(double)begin[0], (double)begin[1]}, {(double)second, (double)hi}};
    side_t ends = {{(double)end[0], (double)end[1]}, {(double)lo, (double)before}};
    widen(step, &begins, second, hi, acc_lo, 1);
    widen(step, &ends, lo, before, acc_hi, -1);
    double accs[RANGES_VERTICES] = {(double)acc_lo, begins.acc[0], begins.acc[1], ends.acc[0], ends.acc[1], (double)acc_hi};
    double ys[RANGES_VERTICES] = {(double)lo, begins.y[0], begins.y[1], ends.y[0], ends.y[1], (double)hi};
    for (int k = 0; k < RANGES_VERTICES; k++) acc[k * stride] = (float)accs[k], y[k * stride] = (float)ys[k];
}

void vertices(const layers_t *plan, ranges_t node, float *acc, float *y, float *slopes) {
    int stride = plan->num_neurons;
    for (const layer_t *layer = plan->layers; layer < plan->layers + plan->num_layers; layer++)
        for (int i = 0; i < layer->n_out; i++) {
            const step_t *step = step_of(layer, i);
            int n = layer->neuron + i, v = plan->num_inputs + n;
            int64_t range[4] = {node.lo[v], node.hi[v], node.acc_lo[n], node.acc_hi[n]}, run = range[3] - range[2];
            double usual = 1;
            if (step->kind != STEP_NONE && range[0] < range[1]) {
                vertices_of(step, range, acc + n, y + n, stride);
                run = most_of(range[2], step_first(step, range[1])) - range[2];
            } else if (step->kind != STEP_NONE) {
                for (int k = 0; k < RANGES_VERTICES; k++) acc[n + k * stride] = (float)range[k < 3 ? 2 : 3], y[n + k * stride] = (float)range[0];
                usual = step_usual(step);
            } else {
                for (int k = 0; k < RANGES_VERTICES; k++) {
                    acc[n + k * stride] = (float)range[k == 2 || k == 3 ? 3 : 2];
                    y[n + k * stride] = (float)range[k == 1 || k == 3];
                }
            }
            slopes[n] = (float)(range[1] > range[0] ? (double)(range[1] - range[0]) / (double)most_of(1, run) : 1 / (usual > 1 ? usual : 1));
        }
}

/* How far a point may be from the graph still once an output is cut, in outputs: half a one, by rounding, of many levels, and nothing of
   up to three, which a cut leaves one or two of. */
INLINE double left_by_cut(int64_t span) {
    return span < 2 ? 0 : span > 6 ? 0.5 : (double)(span - 2) / 8;
}

/* How much there is to win by a cut of an output: see split.py. */
static double score_of(const layer_t *layer, ranges_t node, relaxed_t point, int num_inputs, int i) {
    const step_t *step = step_of(layer, i);
    int n = layer->neuron + i, v = num_inputs + n;
    int64_t lo = node.lo[v], hi = node.hi[v], acc_lo = node.acc_lo[n], acc_hi = node.acc_hi[n];
    float weight = fabsf(point.coefficients[v]), room, gap;
    /* A cut through outputs that do not grow with accumulators would say nothing of these. */
    if (step->kind == STEP_NONE || lo == hi || !(weight > 0)) return 0;
    weight = weight < FLT_MAX ? weight : FLT_MAX;
    int64_t flat = most_of(least_of(acc_hi, step_last(step, lo)) - acc_lo, acc_hi - most_of(acc_lo, step_first(step, hi)));
    room = (float)((double)(hi - lo) * ((double)flat / (double)most_of(1, acc_hi - acc_lo)) - left_by_cut(hi - lo));
    gap = 0;
    if (room > 0) {
        float acc = point.acc[n];
        int64_t exact = step_apply(step, acc >= 2e18f ? NOWHERE : acc > -2e18f ? (int64_t)acc : -NOWHERE);
        gap = (float)(fabs((double)point.y[n] - (double)exact) - left_by_cut(hi - lo));
    }
    float both = room > 0 && gap > 0 ? sqrtf(gap * room) : 0;
    return (double)weight * ((double)both + 1e-6 * (double)(hi - lo));
}

/* At an end of the saturated range if accumulators to spare lie there, else where the point is. */
static int64_t cut_of(const layer_t *layer, ranges_t node, relaxed_t point, int num_inputs, int i) {
    const step_t *step = step_of(layer, i);
    int n = layer->neuron + i, v = num_inputs + n;
    int64_t first = node.lo[v], last = node.hi[v];
    int low = first == step->lo && node.acc_lo[n] < step_last(step, first);
    int high = last == step->hi && node.acc_hi[n] > step_first(step, last);
    double y = point.y[n];
    if (low && !(high && y > (double)(first + last) / 2)) return first + 1;
    if (high) return last;
    return y >= (double)last ? last : y >= (double)first ? least_of(last, (int64_t)floor(y) + 1) : first + 1;
}

int64_t choose(const layers_t *plan, ranges_t node, relaxed_t point, int64_t *at) {
    const layer_t *best = 0;
    double highest = 0;
    int chosen = 0;
    for (const layer_t *layer = plan->layers; layer < plan->layers + plan->num_layers; layer++)
        for (int i = 0; i < layer->n_out; i++) {
            double score = score_of(layer, node, point, plan->num_inputs, i);
            if (score > highest) highest = score, best = layer, chosen = i;
        }
    *at = 0;
    if (!best) return -1;
    *at = cut_of(best, node, point, plan->num_inputs, chosen);
    return plan->num_inputs + best->neuron + chosen;
}
