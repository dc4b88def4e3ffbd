/* What descents side by side work with: a node in every lane, and how nodes come and go. */
#ifndef QBITSAT_DESCENT_WIDE_WORK_H
#define QBITSAT_DESCENT_WIDE_WORK_H

#include <math.h>

#include "descent_wide.h"
#include "wide_steps.h"

/* So many idle lanes get nodes together, as all layers are looked at anew for them. */
enum { REFILL = 4 };

/* Steps, smaller ones from the best, and a look at the best. */
enum { STEPPING, POLISHING, LOOKING };

/* Where a neuron's vertices are: all lanes have those of `common`, and where y is one number and no multiplier of use, that says all;
   or else they have their own, from this slot on. */
enum { SAME = -1, FIXED = -2 };

typedef struct {
    const node_t *node;
    float *value, rate, least, first, second;
    float *mean, *square, *shares; /* most_atoms, of shares; where the descent is */
    int phase, step;
} lane_t;

typedef struct {
    chosen_t *chosen;
    wide_t *lambda, *mean, *square, *gradient, *best, *step_size, *acc_mean, *y_mean; /* num_neurons */
    wide_t *c, *x;                                                                    /* num_values, and one for padding */
    wide_t *x_lo, *x_hi, *x_mean;                                                     /* num_inputs */
    wide_t *vertices;                                                                 /* of those neurons that have their own */
    int *slots;                                                                       /* num_neurons */
    wide_t size, share;           /* magnitudes of the terms of the last values; of the last point in the means */
    int means;                    /* whether any lane's means go on */
    lane_t lanes[WIDE];
    lanes_t busy, fresh;          /* lanes with a node, and those that got it last */
    const node_t *common;         /* that of a busy lane */
    long spent;
} flock_t;

INLINE float *lane_of(wide_t *a, int k) { return (float *)a + k; }
INLINE int has(lanes_t lanes, int k) { return lanes >> k & 1; }

INLINE flock_t share_out_flock(const nodes_t *nodes, wide_t *wides, wide_t *vertices, float *floats, int *slots, chosen_t *chosen) {
    long n = nodes->units->floats->num_neurons, m = nodes->units->floats->num_inputs;
    flock_t w;
    memset(&w, 0, sizeof w);
    w.lambda = wides, wides += n;
    w.mean = wides, wides += n;
    w.square = wides, wides += n;
    w.gradient = wides, wides += n;
    w.best = wides, wides += n;
    w.step_size = wides, wides += n;
    w.acc_mean = wides, wides += n;
    w.y_mean = wides, wides += n;
    w.c = wides, wides += n + m + 1;
    w.x = wides, wides += n + m + 1;
    w.x_lo = wides, wides += m;
    w.x_hi = wides, wides += m;
    w.x_mean = wides;
    w.vertices = vertices, w.slots = slots, w.chosen = chosen;
    for (int k = 0; k < WIDE; k++) {
        w.lanes[k].mean = floats, floats += nodes->most_atoms;
        w.lanes[k].square = floats, floats += nodes->most_atoms;
        w.lanes[k].shares = floats, floats += nodes->most_atoms;
    }
    return w;
}

/* What a warm node's multipliers are scaled by: where no inequality sets the scale any multiple proves the same, and from node to node all
   would shrink into rounding. */
INLINE float scale_of(const node_t *node, int n) {
    float largest = 0;
    if (node->cold || node->num_atoms) return 1;
    for (int i = 0; i < n; i++) largest = fmaxf(largest, fabsf(node->multipliers[i]));
    return largest > 0 ? 1 / largest : 1;
}

/* A node in a lane in which all is 0: its multipliers, in place of step sizes its slopes, its inputs, and what its inequalities rest on. */
INLINE void load_node(flock_t *w, int k, const floats_t *floats) {
    const node_t *node = w->lanes[k].node;
    lanes_t bit = (lanes_t)(1 << k), *marks = w->chosen->marks;
    int n = floats->num_neurons, m = floats->num_inputs;
    float scale = scale_of(node, n);
    for (int i = 0; i < n; i++) {
        float start = scale * node->multipliers[i];
        *lane_of(&w->lambda[i], k) = start;
        *lane_of(&w->step_size[i], k) = node->slopes[i];
        w->chosen->useful[i] |= node->slopes[i] >= 0 ? bit : 0;
        marks[m + i] |= start != 0 || node->num_atoms == 0 ? bit : 0;
    }
    for (int j = 0; j < m; j++) {
        *lane_of(&w->x_lo[j], k) = node->x_lo[j], *lane_of(&w->x_hi[j], k) = node->x_hi[j];
        marks[j] |= node->num_atoms == 0 ? bit : 0;
    }
    for (int a = 0; a < node->num_atoms; a++)
        for (int t = 0; t < node->atoms[a]->size; t++) marks[node->atoms[a]->values[t]] |= bit;
}

/* What the fresh lanes had before is gone, and so is what mattered in idle ones. */
INLINE void clear_lanes(flock_t *w, const floats_t *floats) {
    wide_t zero = WIDE_ALL(0);
    lanes_t stays = w->busy & ~w->fresh;
    for (int i = 0; i < floats->num_neurons; i++) {
        w->mean[i] = WIDE_CHOOSE(stays, w->mean[i], zero), w->square[i] = WIDE_CHOOSE(stays, w->square[i], zero);
        w->acc_mean[i] = WIDE_CHOOSE(stays, w->acc_mean[i], zero), w->y_mean[i] = WIDE_CHOOSE(stays, w->y_mean[i], zero);
        w->lambda[i] = WIDE_CHOOSE(stays, w->lambda[i], zero), w->best[i] = WIDE_CHOOSE(stays, w->best[i], zero);
        w->step_size[i] = WIDE_CHOOSE(stays, w->step_size[i], zero);
        w->chosen->useful[i] &= stays;
    }
    for (int j = 0; j < floats->num_inputs; j++) w->x_mean[j] = WIDE_CHOOSE(stays, w->x_mean[j], zero);
    for (int v = 0; v < floats->num_inputs + floats->num_neurons; v++) w->chosen->marks[v] &= stays;
}

/* slots = whether a busy lane has other vertices than the common ones. Most neurons have the same in nodes that are near in a tree. */
INLINE void compare_vertices(const flock_t *w, int n) {
    int *restrict differs = w->slots;
    memset(differs, 0, sizeof(int) * n);
    for (int k = 0; k < WIDE; k++) {
        const node_t *node = w->lanes[k].node;
        if (!has(w->busy, k) || node->vertex_acc == w->common->vertex_acc) continue;
        for (int v = 0; v < VERTICES; v++) {
            const float *restrict acc = node->vertex_acc + (long)v * n, *restrict same_acc = w->common->vertex_acc + (long)v * n;
            const float *restrict y = node->vertex_y + (long)v * n, *restrict same_y = w->common->vertex_y + (long)v * n;
            for (int i = 0; i < n; i++) differs[i] |= (acc[i] != same_acc[i]) | (y[i] != same_y[i]);
        }
    }
}

/* Whether all vertices of a neuron have one y. */
INLINE int is_level(const node_t *node, int i, int n) {
    int level = 1;
    for (int v = 1; v < VERTICES; v++) level &= node->vertex_y[(long)v * n + i] == node->vertex_y[i];
    return level;
}

/* Slots of neurons, and the vertices of those that have their own. */
INLINE void gather_vertices(flock_t *w, const floats_t *floats) {
    int n = floats->num_neurons, used = 0;
    compare_vertices(w, n);
    for (int i = 0; i < n; i++) {
        if (!w->chosen->marks[floats->num_inputs + i]) continue;
        if (!w->slots[i]) {
            w->slots[i] = !(w->chosen->useful[i] & w->busy) && is_level(w->common, i, n) ? FIXED : SAME;
            continue;
        }
        wide_t *own = w->vertices + (long)used * 2 * VERTICES;
        w->slots[i] = used++;
        for (int k = 0; k < WIDE; k++) {
            const node_t *node = has(w->busy, k) ? w->lanes[k].node : w->common;
            for (int v = 0; v < VERTICES; v++) {
                *lane_of(&own[2 * v], k) = node->vertex_acc[(long)v * n + i];
                *lane_of(&own[2 * v + 1], k) = node->vertex_y[(long)v * n + i];
            }
        }
    }
}

/* The next nodes, from *next on, in idle lanes if these are enough or nothing else is left to do. */
INLINE void take_nodes(flock_t *w, const nodes_t *nodes, int *next) {
    int idle = 0;
    for (int k = 0; k < WIDE; k++) idle += !has(w->busy, k);
    w->fresh = 0;
    if (*next >= nodes->count || (idle < REFILL && idle < nodes->count - *next)) return;
    for (int k = 0; k < WIDE && *next < nodes->count; k++) {
        lane_t *lane = &w->lanes[k];
        if (has(w->busy, k)) continue;
        lane->node = &nodes->all[*next], lane->value = &nodes->values[*next], ++*next;
        lane->phase = STEPPING, lane->step = 0;
        lane->rate = nodes->rate, lane->least = INFINITY, lane->first = lane->second = 1;
        memset(lane->mean, 0, sizeof(float) * nodes->most_atoms), memset(lane->square, 0, sizeof(float) * nodes->most_atoms);
        memcpy(lane->shares, lane->node->shares, sizeof(float) * lane->node->num_atoms);
        w->fresh |= (lanes_t)(1 << k), w->busy |= (lanes_t)(1 << k);
    }
    clear_lanes(w, nodes->units->floats);
    for (int k = 0; k < WIDE; k++)
        if (has(w->fresh, k)) load_node(w, k, nodes->units->floats);
    for (int k = 0; k < WIDE; k++)
        if (has(w->busy, k)) w->common = w->lanes[k].node;
    choose_units(w->chosen);
    gather_vertices(w, nodes->units->floats);
}

/* What was found in these lanes goes to their nodes, of the last values; what did not matter is what it was. */
INLINE void hand_over(flock_t *w, lanes_t done, const floats_t *floats) {
    int n = floats->num_neurons, m = floats->num_inputs, lanes[WIDE], count = 0;
    for (int k = 0; k < WIDE; k++)
        if (has(done, k)) lanes[count++] = k;
    for (int i = 0; i < n; i++)
        for (int at = 0; at < count; at++) {
            int k = lanes[at];
            const node_t *node = w->lanes[k].node;
            if (!has(w->chosen->marks[m + i], k)) continue;
            node->multipliers[i] = *lane_of(&w->best[i], k), node->coefficients[m + i] = *lane_of(&w->c[m + i], k);
            int still = !has(w->chosen->useful[i], k) && is_level(node, i, n);
            node->acc_mean[i] = still ? node->vertex_acc[i] : *lane_of(&w->acc_mean[i], k);
            node->y_mean[i] = still ? node->vertex_y[i] : *lane_of(&w->y_mean[i], k);
        }
    for (int j = 0; j < m; j++)
        for (int at = 0; at < count; at++) {
            int k = lanes[at], matters = has(w->chosen->marks[j], k);
            const node_t *node = w->lanes[k].node;
            node->coefficients[j] = matters ? *lane_of(&w->c[j], k) : 0;
            node->x_best[j] = matters ? *lane_of(&w->x[j], k) : node->x_lo[j];
            node->x_mean[j] = matters ? *lane_of(&w->x_mean[j], k) : node->x_lo[j];
        }
    w->busy &= ~done;
}

#endif
