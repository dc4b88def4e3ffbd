#include "descent_wide.h"

#include <math.h>
#include <string.h>

#include "descent_wide_work.h"

/* Multiply-adds between two ticks. */
#define PACE (1L << 25)


/* c of all that matters = what the inequalities of lanes put on it; returns their part of the dual values. */
INLINE wide_t state_inequalities(flock_t *w) {
    wide_t total = WIDE_ALL(0);
    clear_values(w->chosen, w->c);
    for (int k = 0; k < WIDE; k++)
        for (int a = 0; has(w->busy, k) && a < w->lanes[k].node->num_atoms; a++) {
            const inequality_t *atom = w->lanes[k].node->atoms[a];
            float share = w->lanes[k].shares[a];
            *lane_of(&total, k) += share * atom->bound;
            for (int t = 0; t < atom->size; t++) *lane_of(&w->c[atom->values[t]], k) -= share * atom->coefficients[t];
        }
    return total;
}

/* Multipliers of a straight line between the ends of a neuron's range, where its step sizes are slopes yet, but for those that stay. */
INLINE wide_t line_of(const flock_t *w, long i, wide_t c, lanes_t anchored) {
    wide_t line = WIDE_MUL(w->step_size[i], c);
    return WIDE_CHOOSE(w->chosen->useful[i], anchored ? WIDE_CHOOSE(anchored, w->lambda[i], line) : line, WIDE_ALL(0));
}

/* The lanes among the fresh ones whose multiplier of a neuron stays. */
INLINE lanes_t anchored_at(const flock_t *w, long i) {
    lanes_t lanes = 0;
    for (int k = 0; k < WIDE; k++) lanes |= has(w->fresh, k) && w->lanes[k].node->anchor == i ? (lanes_t)(1 << k) : 0;
    return lanes;
}

/* Whether some fresh lane has such a neuron. */
INLINE int any_anchor(const flock_t *w) {
    int any = 0;
    for (int k = 0; k < WIDE; k++) any |= has(w->fresh, k) && w->lanes[k].node->anchor >= 0;
    return any;
}

/* Steps of fresh lanes, where step_size is the largest multiplier so far: no smaller than a share of the mean one, nor where it is of no use. */
INLINE void size_steps(flock_t *w, const floats_t *floats, wide_t sum, wide_t alive, int anchors) {
    wide_t zero = WIDE_ALL(0), least = WIDE_ADD(WIDE_DIV(WIDE_MUL(sum, WIDE_ALL(LEAST_STEP)), alive), WIDE_ALL(1e-12f));
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            long first = first_of(map, unit_at(w->chosen, l, at));
            for (long i = first; i < first + unit_size(map); i++) {
                lanes_t moving = w->chosen->marks[floats->num_inputs + i] & w->chosen->useful[i] & ~(anchors ? anchored_at(w, i) : 0);
                wide_t step = w->step_size[i], enough = WIDE_PICK(step, least, step, least);
                w->step_size[i] = WIDE_CHOOSE(moving, WIDE_CHOOSE(w->fresh, enough, step), zero);
            }
        }
    }
}

/* Backward substitution in fresh lanes: the multipliers that cold ones start from, and the sizes of steps. */
INLINE void substitute(flock_t *w, const floats_t *floats) {
    int m = floats->num_inputs, padding = m + floats->num_neurons, anchors = any_anchor(w);
    wide_t sum = WIDE_ALL(0), alive = WIDE_ALL(0), zero = WIDE_ALL(0);
    lanes_t cold = 0;
    for (int k = 0; k < WIDE; k++) cold |= has(w->fresh, k) && w->lanes[k].node->cold ? (lanes_t)(1 << k) : 0;
    state_inequalities(w);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            long first = first_of(map, unit);
            for (long i = first; i < first + size; i++) {
                lanes_t useful = w->chosen->useful[i], moving = w->chosen->marks[m + i] & useful;
                wide_t line = line_of(w, i, w->c[m + i], anchors ? anchored_at(w, i) : 0);
                wide_t start = WIDE_CHOOSE(useful, WIDE_CHOOSE(cold, line, w->lambda[i]), zero);
                wide_t a = WIDE_SIZE(line), b = WIDE_SIZE(start), largest = WIDE_PICK(a, b, a, b);
                sum = WIDE_ADD(sum, largest), alive = WIDE_ADD(alive, WIDE_CHOOSE(moving, WIDE_ALL(1), zero));
                w->gradient[i] = line;
                w->lambda[i] = WIDE_CHOOSE(w->fresh, start, w->lambda[i]);
                w->best[i] = WIDE_CHOOSE(w->fresh, start, w->best[i]);
                w->step_size[i] = WIDE_CHOOSE(w->fresh, largest, w->step_size[i]);
            }
            if (at < w->chosen->moving[l] && floats->layers[l].reads_neurons)
                put_unit_back(w->chosen, &floats->layers[l], unit, w->gradient + first, w->c, padding);
        }
    }
    size_steps(w, floats, sum, alive, anchors);
}

/* A neuron's part of the dual values: the point that attains it goes to x, the means and, with the bias, to the gradient. */
INLINE wide_t evaluate_neuron(flock_t *w, long i, long m, long n, float bias, wide_t *constant) {
    wide_t lambda = w->lambda[i], c = w->c[m + i], acc, y, best;
    int slot = w->slots[i];
    if (slot == FIXED) {
        w->x[m + i] = y = WIDE_ALL(w->common->vertex_y[i]);
        best = WIDE_MUL(c, y);
        w->size = WIDE_ADD(w->size, WIDE_SIZE(best));
        return best;
    }
    if (slot == SAME) best = largest_vertex(w->common->vertex_acc + i, w->common->vertex_y + i, n, lambda, c, &acc, &y);
    else best = largest_of_own(w->vertices + (long)slot * 2 * VERTICES, lambda, c, &acc, &y);
    w->size = WIDE_ADD(w->size, WIDE_ADD(WIDE_SIZE(WIDE_MUL(c, y)), WIDE_SIZE(WIDE_MUL(lambda, acc))));
    w->x[m + i] = y;
    if (w->means) {
        w->acc_mean[i] = WIDE_ADD(w->acc_mean[i], WIDE_MUL(w->share, WIDE_SUB(acc, w->acc_mean[i])));
        w->y_mean[i] = WIDE_ADD(w->y_mean[i], WIDE_MUL(w->share, WIDE_SUB(y, w->y_mean[i])));
    }
    w->gradient[i] = WIDE_SUB(acc, WIDE_ALL(bias));
    *constant = WIDE_ADD(*constant, WIDE_MUL(lambda, WIDE_ALL(bias)));
    return best;
}

/* The dual values at w->lambda, and the points that attain them; of gradients what is on this side of the equations. */
INLINE wide_t evaluate(flock_t *w, const floats_t *floats) {
    long n = floats->num_neurons, m = floats->num_inputs;
    int padding = (int)(n + m);
    wide_t zero = WIDE_ALL(0), total = state_inequalities(w);
    w->size = WIDE_SIZE(total);
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const float_layer_t *layer = &floats->layers[l];
        const layer_t *map = layer->map;
        int size = unit_size(map);
        wide_t constant = zero;
        w->c[padding] = zero;
        for (int at = 0; at < w->chosen->counts[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            long first = first_of(map, unit);
            for (long i = first; i < first + size; i++)
                total = WIDE_ADD(total, evaluate_neuron(w, i, m, n, layer->bias[i - map->neuron], &constant));
            if (at < w->chosen->moving[l]) put_unit_back(w->chosen, layer, unit, w->lambda + first, w->c, padding);
        }
        constant = WIDE_ADD(constant, WIDE_MUL(w->c[padding], WIDE_ALL((float)map->padding)));
        total = WIDE_ADD(total, constant), w->size = WIDE_ADD(w->size, WIDE_SIZE(constant));
    }
    for (int k = 0; k < w->chosen->num_inputs; k++) {
        int j = w->chosen->inputs[k];
        wide_t x = WIDE_PICK(w->c[j], zero, w->x_hi[j], w->x_lo[j]), term = WIDE_MUL(w->c[j], x);
        w->x[j] = x, w->x_mean[j] = WIDE_ADD(w->x_mean[j], WIDE_MUL(w->share, WIDE_SUB(x, w->x_mean[j])));
        total = WIDE_ADD(total, term), w->size = WIDE_ADD(w->size, WIDE_SIZE(term));
    }
    return total;
}

/* What becomes of lanes with their values: those that are the best so far, those that go back to the best, those that are done; and how far
   the others go. */
typedef struct {
    lanes_t better, back, done;
    wide_t up, second;
} moves_t;

/* A step of a multiplier; see `move`. */
INLINE void move_neuron(flock_t *w, long i, const moves_t *moves) {
    wide_t zero = WIDE_ALL(0);
    if (moves->better) w->best[i] = WIDE_CHOOSE(moves->better, w->lambda[i], w->best[i]);
    adam(&w->lambda[i], &w->mean[i], &w->square[i], w->gradient[i], w->step_size[i], moves->up, moves->second);
    if (!moves->back) return;
    w->lambda[i] = WIDE_CHOOSE(moves->back, w->best[i], w->lambda[i]);
    w->mean[i] = WIDE_CHOOSE(moves->back, zero, w->mean[i]), w->square[i] = WIDE_CHOOSE(moves->back, zero, w->square[i]);
}

/* The gradients, and steps of all multipliers, `up` of their sizes at most. */
INLINE void move(flock_t *w, const floats_t *floats, const moves_t *moves) {
    int padding = floats->num_inputs + floats->num_neurons;
    for (int l = 0; l < floats->num_layers; l++) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map);
        w->x[padding] = WIDE_ALL((float)map->padding);
        for (int at = 0; at < w->chosen->moving[l]; at++) {
            int unit = unit_at(w->chosen, l, at);
            long first = first_of(map, unit);
            take_unit(w->chosen, &floats->layers[l], unit, w->x, w->gradient + first, padding);
            for (long i = first; i < first + size; i++)
                if (w->chosen->moves[i]) move_neuron(w, i, moves);
        }
    }
}

/* A step of the shares of a lane's inequalities, none below 0; a single inequality sets the scale. */
INLINE void move_shares(flock_t *w, int k, float up, float second) {
    lane_t *lane = &w->lanes[k];
    for (int a = 0; lane->node->num_atoms > 1 && a < lane->node->num_atoms; a++) {
        const inequality_t *atom = lane->node->atoms[a];
        float slack = atom->bound;
        for (int t = 0; t < atom->size; t++) slack -= atom->coefficients[t] * *lane_of(&w->x[atom->values[t]], k);
        lane->mean[a] += FIRST_MOMENT * (slack - lane->mean[a]);
        lane->square[a] += SECOND_MOMENT * (slack * slack - lane->square[a]);
        lane->shares[a] = fmaxf(0, lane->shares[a] - up * lane->mean[a] / (sqrtf(lane->square[a] * second) + 1e-9f));
    }
}

/* The largest multiplier of a neuron that no other reads stays as it is: without an inequality the value falls to 0 with all of them. */
INLINE void anchor_largest(flock_t *w, int k, const nodes_t *nodes) {
    int largest = -1;
    for (int i = 0; i < nodes->units->floats->num_neurons; i++)
        if (nodes->is_last[i] && (largest < 0 || fabsf(*lane_of(&w->best[i], k)) > fabsf(*lane_of(&w->best[largest], k)))) largest = i;
    if (largest >= 0) *lane_of(&w->step_size[largest], k) = 0;
}

/* The next phase of a lane, from the best that it has found. */
INLINE void go_back(const nodes_t *nodes, flock_t *w, int k) {
    lane_t *lane = &w->lanes[k];
    int atoms = lane->node->num_atoms;
    lane->phase = lane->phase == STEPPING && nodes->polish > 0 ? POLISHING : LOOKING;
    lane->step = 0, lane->rate = POLISH_RATE, lane->first = lane->second = 1;
    memcpy(lane->shares, lane->node->shares, sizeof(float) * atoms);
    memset(lane->mean, 0, sizeof(float) * atoms), memset(lane->square, 0, sizeof(float) * atoms);
}

/* A lane with this value of terms of such a size. */
INLINE void judge(const nodes_t *nodes, flock_t *w, int k, float value, float size, moves_t *moves) {
    lane_t *lane = &w->lanes[k];
    int below = value < -NOISE * size, steps = lane->phase == STEPPING ? nodes->steps : nodes->polish;
    lanes_t bit = (lanes_t)(1 << k);
    if (lane->phase == LOOKING || value < lane->least || below) { /* one that proves goes before a lower one that is rounding */
        lane->least = *lane->value = value;
        if (lane->phase == LOOKING) moves->done |= bit;
        else {
            moves->better |= bit;
            memcpy(lane->node->shares, lane->shares, sizeof(float) * lane->node->num_atoms);
        }
    }
    if (below) moves->done |= bit;
    if (has(moves->done, k)) return;
    lane->first *= 1 - FIRST_MOMENT, lane->second *= 1 - SECOND_MOMENT;
    *lane_of(&moves->up, k) = lane->rate / (1 - lane->first), *lane_of(&moves->second, k) = 1 / (1 - lane->second);
    move_shares(w, k, *lane_of(&moves->up, k), *lane_of(&moves->second, k));
    lane->rate *= lane->phase == STEPPING ? nodes->decay : POLISH_DECAY;
    if (++lane->step < steps) return;
    moves->back |= bit;
    go_back(nodes, w, k);
}

/* One step of all lanes; returns how many took one. */
INLINE int step_together(const nodes_t *nodes, flock_t *w) {
    const floats_t *floats = nodes->units->floats;
    moves_t moves = {0, 0, 0, WIDE_ALL(0), WIDE_ALL(0)};
    int taken = 0;
    w->share = WIDE_ALL(0), w->means = 0;
    for (int k = 0; k < WIDE; k++) {
        const lane_t *lane = &w->lanes[k];
        if (has(w->busy, k) && lane->phase == STEPPING)
            w->means = 1, *lane_of(&w->share, k) = 1.0f / (lane->step < MEAN_STEPS ? lane->step + 1 : MEAN_STEPS);
        taken += has(w->busy, k) && lane->phase != LOOKING;
    }
    wide_t value = evaluate(w, floats);
    for (int k = 0; k < WIDE; k++)
        if (has(w->busy, k)) judge(nodes, w, k, *lane_of(&value, k), *lane_of(&w->size, k), &moves);
    move(w, floats, &moves);
    for (int k = 0; k < WIDE; k++)
        if (has(moves.back, k) && w->lanes[k].phase == POLISHING && !w->lanes[k].node->num_atoms && w->lanes[k].node->anchor < 0)
            anchor_largest(w, k, nodes);
    if (moves.done) hand_over(w, moves.done, floats);
    return taken;
}

int WIDE_NAME(descend_all)(const nodes_t *nodes, wide_t *wides, wide_t *vertices, float *floats, int *slots, chosen_t *chosen) {
    flock_t w = share_out_flock(nodes, wides, vertices, floats, slots, chosen);
    int next = 0, taken = 0;
    for (;;) {
        take_nodes(&w, nodes, &next);
        if (!w.busy) return taken;
        if (w.fresh) substitute(&w, nodes->units->floats);
        w.spent += chosen->cost;
        if (w.spent >= PACE && nodes->tick) {
            w.spent = 0;
            if (nodes->tick(nodes->who)) return -1;
        }
        taken += step_together(nodes, &w);
    }
}

#ifndef WIDE_V3
long flock_wides(const units_t *units) { return 10L * units->floats->num_neurons + 5L * units->floats->num_inputs + 2; }
long flock_floats(int most_atoms) { return 3L * WIDE * most_atoms; }

int descend_all(const nodes_t *nodes, wide_t *wides, wide_t *vertices, float *floats, int *slots, chosen_t *chosen) {
    return WIDE_FASTEST(descend_all)(nodes, wides, vertices, floats, slots, chosen);
}
#endif
