#include "objectives.h"

#include <string.h>

/* A unit of a layer is what is computed together: the outputs of a position of patches, or one output of lanes or sparse rows. Of a convolution only few units
   matter to a neuron behind it, and nearly the same ones to its neighbours: so objectives side by side share all loads of weights. */

#define FIRST_MOMENT 0.3f
#define SECOND_MOMENT 0.1f
/* No step is smaller than this share of the mean one: a neuron whose relaxation is exact now may need a multiplier later. */
#define LEAST_STEP 1e-3f
/* Multiply-adds between two ticks. */
#define PACE (1L << 27)
/* Outputs that are computed side by side. */
#define TILE 4

typedef struct {
    wide_t *lambda, *mean, *square, *gradient, *best, *step_size; /* num_neurons */
    wide_t *c, *x;                                                /* num_values, and one for padding; all values, inputs first */
    int *cells;                                                   /* most_reads: values that a unit reads, num_values where it is padding */
    int *units, *counts, *moving;                                 /* of every layer, from first_unit on, those that matter: first those that move */
    int *inputs, num_inputs;                                      /* those that matter */
    unsigned char *marks;                                         /* num_values: those that matter */
    long cost, spent;
} bundle_work_t;

long wides_needed(const common_t *common) { return 8L * common->floats->num_neurons + 2L * common->floats->num_inputs + 4; }
long places_needed(const common_t *common) {
    return (long)common->most_reads + common->num_units + 2L * common->floats->num_layers + common->floats->num_inputs + 1;
}
long marks_needed(const common_t *common) { return (long)common->floats->num_inputs + common->floats->num_neurons; }

INLINE bundle_work_t share_out_wides(const common_t *common, wide_t *wides, int *places, unsigned char *marks) {
    long n = common->floats->num_neurons, m = common->floats->num_inputs;
    bundle_work_t w;
    w.lambda = wides, wides += n;
    w.mean = wides, wides += n;
    w.square = wides, wides += n;
    w.gradient = wides, wides += n;
    w.best = wides, wides += n;
    w.step_size = wides, wides += n;
    w.c = wides, wides += n + m + 1;
    w.x = wides;
    w.cells = places, places += common->most_reads;
    w.units = places, places += common->num_units;
    w.counts = places, places += common->floats->num_layers;
    w.moving = places, places += common->floats->num_layers;
    w.inputs = places, w.num_inputs = 0;
    w.marks = marks;
    w.cost = w.spent = 0;
    return w;
}

/* Whether a neuron's multiplier may be of use. */
INLINE int moves(const common_t *common, const bundle_work_t *w, long i) { return w->marks[common->floats->num_inputs + i] && common->slopes[i] >= 0; }

INLINE int unit_size(const layer_t *map) { return map->kind == LAYER_PATCHES ? map->groups * map->channels : 1; }
INLINE int num_units_of(const layer_t *map) { return map->kind == LAYER_PATCHES ? map->positions : map->n_out; }

/* The values that group g of a unit reads; returns how many. */
INLINE int find_cells(const layer_t *map, int unit, int g, int padding, int *restrict cells) {
    if (map->kind == LAYER_ROWS) {
        const int32_t *indices = map->indices + map->indptr[unit];
        int n = (int)(map->indptr[unit + 1] - map->indptr[unit]);
        for (int k = 0; k < n; k++) cells[k] = map->view[indices[k]] >= 0 ? map->view[indices[k]] : padding;
        return n;
    }
    int p = map->kind == LAYER_LANES ? unit / map->groups : unit, lane = map->kind == LAYER_LANES ? unit % map->groups : g * map->stride;
    const int32_t *view = map->view + map->start[p] + lane;
    for (int k = 0; k < map->taps; k++) cells[k] = view[map->offset[k]] >= 0 ? view[map->offset[k]] : padding;
    return map->taps;
}

/* The weights of a unit of one output, one every `step` numbers. */
INLINE const float *weights_of(const float_layer_t *layer, int unit, int *step) {
    const layer_t *map = layer->map;
    *step = map->kind == LAYER_LANES ? map->groups : 1;
    return layer->rows + (map->kind == LAYER_LANES ? unit % map->groups : map->indptr[unit]);
}

INLINE void mark_unit(const layer_t *map, int unit, unsigned char *marks, int *cells, int padding) {
    int groups = map->kind == LAYER_PATCHES ? map->groups : 1;
    for (int g = 0; g < groups; g++) {
        int n = find_cells(map, unit, g, padding, cells);
        for (int k = 0; k < n; k++)
            if (cells[k] != padding) marks[cells[k]] = 1;
    }
}

/* The units on which objectives rest, those that move before those that stand still, which need no accumulators. */
INLINE void choose_units(const common_t *common, const bundle_t *bundle, bundle_work_t *w) {
    const floats_t *floats = common->floats;
    int m = floats->num_inputs, padding = m + floats->num_neurons;
    for (int k = 0; k < bundle->count; k++)
        for (int t = 0; t < bundle->all[k].size; t++) w->marks[bundle->all[k].values[t]] = 1;
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map), *units = w->units + common->first_unit[l], moving = 0, still = 0, all = num_units_of(map);
        for (int u = 0; u < all; u++) {
            const unsigned char *marks = w->marks + m + map->neuron + (long)u * size;
            const float *slopes = common->slopes + map->neuron + (long)u * size;
            int needed = 0, moves = 0;
            for (int i = 0; i < size; i++) needed |= marks[i], moves |= marks[i] && slopes[i] >= 0;
            if (!needed) continue;
            if (!moves) {
                units[all - ++still] = u;
                continue;
            }
            units[moving++] = u;
            mark_unit(map, u, w->marks, w->cells, padding);
            w->cost += map->kind == LAYER_ROWS ? map->indptr[u + 1] - map->indptr[u] : (long)size * map->taps;
        }
        memmove(units + moving, units + all - still, sizeof(int) * still);
        w->moving[l] = moving, w->counts[l] = moving + still;
        w->cost += (long)size * (moving + still) * 8;
    }
    for (int j = 0; j < m; j++) {
        w->inputs[w->num_inputs] = j;
        w->num_inputs += w->marks[j];
    }
    w->cost *= 2 * WIDE;
}

/* c of all that matters = what the objectives put on it. */
INLINE void state_objectives(const common_t *common, const bundle_t *bundle, const bundle_work_t *w) {
    const floats_t *floats = common->floats;
    wide_t zero = WIDE_ALL(0);
    for (int j = 0; j < w->num_inputs; j++) w->c[w->inputs[j]] = zero;
    for (int l = 0; l < floats->num_layers; l++) {
        int size = unit_size(floats->layers[l].map);
        for (int at = 0; at < w->counts[l]; at++) {
            wide_t *c = w->c + floats->num_inputs + floats->layers[l].map->neuron + (long)w->units[common->first_unit[l] + at] * size;
            for (int i = 0; i < size; i++) c[i] = zero;
        }
    }
    for (int k = 0; k < bundle->count; k++)
        for (int t = 0; t < bundle->all[k].size; t++) ((float *)&w->c[bundle->all[k].values[t]])[k] += bundle->all[k].coefficients[t];
}

/* What multipliers of a unit put on the values that it reads. */
INLINE void put_unit_back(const float_layer_t *layer, int unit, const wide_t *restrict m, wide_t *restrict c, int *restrict cells, int padding) {
    const layer_t *map = layer->map;
    if (map->kind != LAYER_PATCHES) {
        int step, n = find_cells(map, unit, 0, padding, cells);
        const float *row = weights_of(layer, unit, &step);
        for (int k = 0; k < n; k++) WIDE_GATHER(c[cells[k]], row[(int64_t)k * step], m[0]);
        return;
    }
    int taps = map->taps;
    for (int g = 0; g < map->groups; g++, m += map->channels) {
        const float *rows = layer->rows + (int64_t)g * map->channels * taps;
        find_cells(map, unit, g, padding, cells);
        int i = 0;
        for (; i + TILE <= map->channels; i += TILE, rows += TILE * (int64_t)taps) {
            const float *restrict p = rows, *restrict q = p + taps, *restrict r = q + taps, *restrict s = r + taps;
            wide_t a = m[i], b = m[i + 1], d = m[i + 2], e = m[i + 3];
            for (int k = 0; k < taps; k++) {
                wide_t sum = c[cells[k]];
                WIDE_GATHER(sum, p[k], a);
                WIDE_GATHER(sum, q[k], b);
                WIDE_GATHER(sum, r[k], d);
                WIDE_GATHER(sum, s[k], e);
                c[cells[k]] = sum;
            }
        }
        for (; i < map->channels; i++, rows += taps)
            for (int k = 0; k < taps; k++) WIDE_GATHER(c[cells[k]], rows[k], m[i]);
    }
}

/* reached = what a unit's accumulators are, without bias, less `reached` before: its gradient. */
INLINE void take_unit(const float_layer_t *layer, int unit, const wide_t *restrict x, wide_t *restrict reached, int *restrict cells, int padding) {
    const layer_t *map = layer->map;
    if (map->kind != LAYER_PATCHES) {
        int step, n = find_cells(map, unit, 0, padding, cells);
        const float *row = weights_of(layer, unit, &step);
        wide_t sum = WIDE_SUB(WIDE_ALL(0), reached[0]);
        for (int k = 0; k < n; k++) WIDE_GATHER(sum, row[(int64_t)k * step], x[cells[k]]);
        reached[0] = sum;
        return;
    }
    int taps = map->taps;
    for (int g = 0; g < map->groups; g++, reached += map->channels) {
        const float *rows = layer->rows + (int64_t)g * map->channels * taps;
        find_cells(map, unit, g, padding, cells);
        int i = 0;
        for (; i + TILE <= map->channels; i += TILE, rows += TILE * (int64_t)taps) {
            const float *restrict p = rows, *restrict q = p + taps, *restrict r = q + taps, *restrict s = r + taps;
            wide_t zero = WIDE_ALL(0), a = zero, b = zero, d = zero, e = zero;
            for (int k = 0; k < taps; k++) {
                wide_t value = x[cells[k]];
                WIDE_GATHER(a, p[k], value);
                WIDE_GATHER(b, q[k], value);
                WIDE_GATHER(d, r[k], value);
                WIDE_GATHER(e, s[k], value);
            }
            reached[i] = WIDE_SUB(a, reached[i]), reached[i + 1] = WIDE_SUB(b, reached[i + 1]);
            reached[i + 2] = WIDE_SUB(d, reached[i + 2]), reached[i + 3] = WIDE_SUB(e, reached[i + 3]);
        }
        for (; i < map->channels; i++, rows += taps) {
            wide_t sum = WIDE_SUB(WIDE_ALL(0), reached[i]);
            for (int k = 0; k < taps; k++) WIDE_GATHER(sum, rows[k], x[cells[k]]);
            reached[i] = sum;
        }
    }
}

/* Backward substitution: the multipliers of a straight line between the ends of each neuron's range, and the sizes of steps. */
INLINE void substitute_together(const common_t *common, const bundle_t *bundle, const bundle_work_t *w) {
    const floats_t *floats = common->floats;
    int m = floats->num_inputs, padding = m + floats->num_neurons, alive = 0;
    wide_t sum = WIDE_ALL(0), zero = WIDE_ALL(0);
    state_objectives(common, bundle, w);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->counts[l]; at++) {
            long unit = w->units[common->first_unit[l] + at], first = map->neuron + unit * size;
            for (long i = first; i < first + size; i++) {
                w->lambda[i] = common->slopes[i] < 0 ? zero : WIDE_MUL(WIDE_ALL(common->slopes[i]), w->c[m + i]);
                w->step_size[i] = WIDE_PICK(w->lambda[i], zero, w->lambda[i], WIDE_SUB(zero, w->lambda[i]));
                w->mean[i] = w->square[i] = zero;
                sum = WIDE_ADD(sum, w->step_size[i]), alive += moves(common, w, i);
            }
            if (at < w->moving[l]) put_unit_back(&floats->layers[l], (int)unit, w->lambda + first, w->c, w->cells, padding);
        }
    }
    wide_t least = WIDE_ADD(WIDE_MUL(sum, WIDE_ALL(LEAST_STEP / (alive > 0 ? alive : 1))), WIDE_ALL(1e-12f));
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->counts[l]; at++) {
            long first = map->neuron + (long)w->units[common->first_unit[l] + at] * size;
            for (long i = first; i < first + size; i++)
                w->step_size[i] = moves(common, w, i) ? WIDE_PICK(w->step_size[i], least, w->step_size[i], least) : zero;
        }
    }
}

/* The largest c * y - lambda * acc over the vertices of a neuron, and the acc and y that attain it. */
INLINE wide_t largest_vertex(const float *vertex_acc, const float *vertex_y, long stride, wide_t lambda, wide_t c, wide_t *acc, wide_t *y) {
    wide_t a = WIDE_ALL(vertex_acc[0]), v = WIDE_ALL(vertex_y[0]), best = WIDE_SUB(WIDE_MUL(c, v), WIDE_MUL(lambda, a));
    UNROLLED
    for (int k = 1; k < VERTICES; k++) {
        wide_t other_a = WIDE_ALL(vertex_acc[k * stride]), other_v = WIDE_ALL(vertex_y[k * stride]);
        wide_t value = WIDE_SUB(WIDE_MUL(c, other_v), WIDE_MUL(lambda, other_a));
        a = WIDE_PICK(value, best, other_a, a);
        v = WIDE_PICK(value, best, other_v, v);
        best = WIDE_PICK(value, best, value, best);
    }
    *acc = a, *y = v;
    return best;
}

/* The bounds at w->lambda, and their gradients. */
INLINE wide_t evaluate_together(const common_t *common, const bundle_t *bundle, const bundle_work_t *w) {
    const floats_t *floats = common->floats;
    long n = floats->num_neurons, m = floats->num_inputs;
    int padding = (int)(n + m);
    wide_t total = WIDE_ALL(0), zero = WIDE_ALL(0);
    state_objectives(common, bundle, w);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const float_layer_t *layer = &floats->layers[l];
        const layer_t *map = layer->map;
        int size = unit_size(map);
        w->c[padding] = zero;
        for (int at = 0; at < w->counts[l]; at++) {
            long unit = w->units[common->first_unit[l] + at], first = map->neuron + unit * size;
            for (long i = first; i < first + size; i++) {
                wide_t best = largest_vertex(common->vertex_acc + i, common->vertex_y + i, n, w->lambda[i], w->c[m + i], &w->gradient[i], &w->x[m + i]);
                wide_t bias = WIDE_ALL(layer->bias[i - map->neuron]);
                total = WIDE_ADD(total, WIDE_ADD(best, WIDE_MUL(w->lambda[i], bias)));
                w->gradient[i] = WIDE_SUB(w->gradient[i], bias);
            }
            if (at < w->moving[l]) put_unit_back(layer, (int)unit, w->lambda + first, w->c, w->cells, padding);
        }
        total = WIDE_ADD(total, WIDE_MUL(w->c[padding], WIDE_ALL((float)map->padding)));
    }
    for (int k = 0; k < w->num_inputs; k++) {
        int j = w->inputs[k];
        w->x[j] = WIDE_PICK(w->c[j], zero, WIDE_ALL(common->x_hi[j]), WIDE_ALL(common->x_lo[j]));
        total = WIDE_ADD(total, WIDE_MUL(w->c[j], w->x[j]));
    }
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        w->x[padding] = WIDE_ALL((float)map->padding);
        for (int at = 0; at < w->moving[l]; at++) {
            int unit = w->units[common->first_unit[l] + at];
            take_unit(&floats->layers[l], unit, w->x, w->gradient + map->neuron + (long)unit * size, w->cells, padding);
        }
    }
    return total;
}

/* Adam, each multiplier in steps of its natural size; what is better than ever is kept. */
INLINE void move_together(const common_t *common, const bundle_work_t *w, wide_t value, wide_t least, float rate, float first, float second) {
    wide_t up = WIDE_ALL(rate * first), share = WIDE_ALL(second), tiny = WIDE_ALL(1e-9f);
    for (int l = 0; l < common->floats->num_layers; l++) {
        const layer_t *map = common->floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->moving[l]; at++) {
            long begin = map->neuron + (long)w->units[common->first_unit[l] + at] * size;
            for (long i = begin; i < begin + size; i++) {
                wide_t lambda = w->lambda[i], step = w->step_size[i], g = WIDE_MUL(w->gradient[i], step), mean = w->mean[i], square = w->square[i];
                w->best[i] = WIDE_PICK(least, value, lambda, w->best[i]);
                mean = WIDE_ADD(mean, WIDE_MUL(WIDE_ALL(FIRST_MOMENT), WIDE_SUB(g, mean)));
                square = WIDE_ADD(square, WIDE_MUL(WIDE_ALL(SECOND_MOMENT), WIDE_SUB(WIDE_MUL(g, g), square)));
                w->mean[i] = mean, w->square[i] = square;
                wide_t size_ = WIDE_MUL(square, share);
                wide_roots(&size_);
                w->lambda[i] = WIDE_SUB(lambda, WIDE_DIV(WIDE_MUL(WIDE_MUL(up, step), mean), WIDE_ADD(size_, tiny)));
            }
        }
    }
}

/* Results to their rows, and marks as they were. */
INLINE void hand_over(const common_t *common, const bundle_t *bundle, const bundle_work_t *w, wide_t least) {
    for (int k = 0; k < bundle->count; k++) bundle->bounds[k] = ((const float *)&least)[k];
    for (int l = 0; l < common->floats->num_layers; l++) {
        const layer_t *map = common->floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->counts[l]; at++) {
            long begin = map->neuron + (long)w->units[common->first_unit[l] + at] * size;
            memset(w->marks + common->floats->num_inputs + begin, 0, size);
            if (at >= w->moving[l]) continue;
            for (long i = begin; i < begin + size; i++)
                for (int k = 0; k < bundle->count; k++) bundle->multipliers[k][i] = ((const float *)&w->best[i])[k];
        }
    }
    for (int j = 0; j < w->num_inputs; j++) w->marks[w->inputs[j]] = 0;
}

EVERY_TARGET
int descend_together(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, int *places, unsigned char *marks) {
    bundle_work_t w = share_out_wides(common, work, places, marks);
    wide_t least = WIDE_ALL(INFINITY);
    float first = 1, second = 1;
    choose_units(common, bundle, &w);
    substitute_together(common, bundle, &w);
    for (int step = 0; step < steps; step++, rate *= decay) {
        w.spent += w.cost;
        if (w.spent >= PACE && common->tick) {
            w.spent = 0;
            if (common->tick(common->who)) return 1;
        }
        wide_t value = evaluate_together(common, bundle, &w);
        first *= 1 - FIRST_MOMENT, second *= 1 - SECOND_MOMENT;
        move_together(common, &w, value, least, rate, 1 / (1 - first), 1 / (1 - second));
        least = WIDE_PICK(least, value, value, least);
    }
    hand_over(common, bundle, &w, least);
    return 0;
}
