#include "objectives.h"

#include "wide_steps.h"

/* Multiply-adds between two ticks. */
#define PACE (1L << 27)

typedef struct {
    wide_t *lambda, *mean, *square, *gradient, *best, *step_size; /* num_neurons */
    wide_t *c, *x;                                                /* num_values, and one for padding; all values, inputs first */
    chosen_t *chosen;
    long spent;
} bundle_work_t;


INLINE bundle_work_t share_out_wides(const common_t *common, wide_t *wides, chosen_t *chosen) {
    long n = common->units->floats->num_neurons, m = common->units->floats->num_inputs;
    bundle_work_t w;
    w.lambda = wides, wides += n;
    w.mean = wides, wides += n;
    w.square = wides, wides += n;
    w.gradient = wides, wides += n;
    w.best = wides, wides += n;
    w.step_size = wides, wides += n;
    w.c = wides, wides += n + m + 1;
    w.x = wides;
    w.chosen = chosen, w.spent = 0;
    return w;
}

/* The units on which objectives rest. */
INLINE void choose_for(const bundle_t *bundle, chosen_t *chosen) {
    for (int k = 0; k < bundle->count; k++)
        for (int t = 0; t < bundle->all[k].size; t++) chosen->marks[bundle->all[k].values[t]] = ALL_LANES;
    choose_units(chosen);
}

/* c of all that matters = what the objectives put on it. */
INLINE void state_objectives(const bundle_t *bundle, const bundle_work_t *w) {
    clear_values(w->chosen, w->c);
    for (int k = 0; k < bundle->count; k++)
        for (int t = 0; t < bundle->all[k].size; t++) ((float *)&w->c[bundle->all[k].values[t]])[k] += bundle->all[k].coefficients[t];
}

/* Backward substitution: the multipliers of a straight line between the ends of each neuron's range, and the sizes of steps. */
INLINE void substitute_together(const common_t *common, const bundle_t *bundle, const bundle_work_t *w) {
    const floats_t *floats = common->units->floats;
    int m = floats->num_inputs, padding = m + floats->num_neurons, alive = 0;
    wide_t sum = WIDE_ALL(0), zero = WIDE_ALL(0);
    state_objectives(bundle, w);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            long first = first_of(map, unit);
            for (long i = first; i < first + size; i++) {
                w->lambda[i] = common->slopes[i] < 0 ? zero : WIDE_MUL(WIDE_ALL(common->slopes[i]), w->c[m + i]);
                w->step_size[i] = WIDE_PICK(w->lambda[i], zero, w->lambda[i], WIDE_SUB(zero, w->lambda[i]));
                w->mean[i] = w->square[i] = zero;
                sum = WIDE_ADD(sum, w->step_size[i]), alive += w->chosen->moves[i];
            }
            if (at < w->chosen->moving[l]) put_unit_back(w->chosen, &floats->layers[l], unit, w->lambda + first, w->c, padding);
        }
    }
    wide_t least = WIDE_ADD(WIDE_MUL(sum, WIDE_ALL(LEAST_STEP / (alive > 0 ? alive : 1))), WIDE_ALL(1e-12f));
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            long first = first_of(map, unit_at(w->chosen, l, at));
            for (long i = first; i < first + size; i++)
                w->step_size[i] = w->chosen->moves[i] ? WIDE_PICK(w->step_size[i], least, w->step_size[i], least) : zero;
        }
    }
}

/* The bounds at w->lambda, and their gradients. */
INLINE wide_t evaluate_together(const common_t *common, const bundle_t *bundle, const bundle_work_t *w) {
    const floats_t *floats = common->units->floats;
    long n = floats->num_neurons, m = floats->num_inputs;
    int padding = (int)(n + m);
    wide_t total = WIDE_ALL(0), zero = WIDE_ALL(0);
    state_objectives(bundle, w);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const float_layer_t *layer = &floats->layers[l];
        const layer_t *map = layer->map;
        int size = unit_size(map);
        w->c[padding] = zero;
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            long first = first_of(map, unit);
            for (long i = first; i < first + size; i++) {
                wide_t best = largest_vertex(common->vertex_acc + i, common->vertex_y + i, n, w->lambda[i], w->c[m + i], &w->gradient[i], &w->x[m + i]);
                wide_t bias = WIDE_ALL(layer->bias[i - map->neuron]);
                total = WIDE_ADD(total, WIDE_ADD(best, WIDE_MUL(w->lambda[i], bias)));
                w->gradient[i] = WIDE_SUB(w->gradient[i], bias);
            }
            if (at < w->chosen->moving[l]) put_unit_back(w->chosen, layer, unit, w->lambda + first, w->c, padding);
        }
        total = WIDE_ADD(total, WIDE_MUL(w->c[padding], WIDE_ALL((float)map->padding)));
    }
    for (int k = 0; k < w->chosen->num_inputs; k++) {
        int j = w->chosen->inputs[k];
        w->x[j] = WIDE_PICK(w->c[j], zero, WIDE_ALL(common->x_hi[j]), WIDE_ALL(common->x_lo[j]));
        total = WIDE_ADD(total, WIDE_MUL(w->c[j], w->x[j]));
    }
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        w->x[padding] = WIDE_ALL((float)map->padding);
        for (int at = 0; at < w->chosen->moving[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            take_unit(w->chosen, &floats->layers[l], unit, w->x, w->gradient + first_of(map, unit), padding);
        }
    }
    return total;
}

/* Adam, each multiplier in steps of its natural size; what is better than ever is kept. */
INLINE void move_together(const common_t *common, const bundle_work_t *w, wide_t value, wide_t least, float rate, float first, float second) {
    wide_t up = WIDE_ALL(rate * first), share = WIDE_ALL(second);
    for (int l = 0; l < common->units->floats->num_layers; l++) {
        const layer_t *map = common->units->floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->chosen->moving[l]; at++) {
            long begin = first_of(map, unit_at(w->chosen, l, at));
            for (long i = begin; i < begin + size; i++) {
                w->best[i] = WIDE_PICK(least, value, w->lambda[i], w->best[i]);
                adam(&w->lambda[i], &w->mean[i], &w->square[i], w->gradient[i], w->step_size[i], up, share);
            }
        }
    }
}

/* Results to their rows, and marks as they were. */
INLINE void hand_over(const common_t *common, const bundle_t *bundle, const bundle_work_t *w, wide_t least) {
    for (int k = 0; k < bundle->count; k++) bundle->bounds[k] = ((const float *)&least)[k];
    for (int l = 0; l < common->units->floats->num_layers; l++) {
        const layer_t *map = common->units->floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            long begin = first_of(map, unit_at(w->chosen, l, at));
            memset(w->chosen->marks + common->units->floats->num_inputs + begin, 0, sizeof(lanes_t) * size);
            if (at >= w->chosen->moving[l]) continue;
            for (long i = begin; i < begin + size; i++)
                for (int k = 0; k < bundle->count; k++) bundle->multipliers[k][i] = ((const float *)&w->best[i])[k];
        }
    }
    for (int j = 0; j < w->chosen->num_inputs; j++) w->chosen->marks[w->chosen->inputs[j]] = 0;
}

int WIDE_NAME(descend_together)(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, chosen_t *chosen) {
    bundle_work_t w = share_out_wides(common, work, chosen);
    wide_t least = WIDE_ALL(INFINITY);
    float first = 1, second = 1;
    choose_for(bundle, chosen);
    substitute_together(common, bundle, &w);
    for (int step = 0; step < steps; step++, rate *= decay) {
        w.spent += chosen->cost;
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

#ifndef WIDE_V3
long wides_needed(const units_t *units) { return 8L * units->floats->num_neurons + 2L * units->floats->num_inputs + 4; }

int descend_together(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, chosen_t *chosen) {
    return WIDE_FASTEST(descend_together)(common, bundle, steps, rate, decay, work, chosen);
}
#endif
