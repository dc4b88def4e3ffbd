/* What a descent works with: its arrays, and the positions of layers and spans of neurons that it has to look at. */
#ifndef QBITSAT_DESCENT_WORK_H
#define QBITSAT_DESCENT_WORK_H

#include "descent.h"
#include "vector.h"

typedef struct {
    float *lambda, *mean, *square, *gradient; /* num_neurons + num_atoms */
    float *c, *x, *y, *acc, *reached;         /* num_values; num_inputs and, right behind, num_neurons; then num_neurons each */
    float *rest, *cells, *taps;               /* num_inputs: what is put on them otherwise than by columns; room for one layer */
    int any_rest;                             /* whether that may be anything */
    float *best, *step_size;                    /* num_neurons: a neuron's largest term; the size of a step of its multiplier */
    int *active, num_active;                  /* num_inputs: those that may change sides before the next full look */
    int *places, *counts;                     /* of every layer the positions that move, from its first_place on; num_layers: how many */
    int *begins, *ends, *spans;               /* the neurons that inequalities rest on, from first_place on; num_layers: how many spans */
    float size;                               /* magnitudes of the terms of the last full value */
    long cost, spent;                         /* multiply-adds of one value, and those since the last tick */
} work_t;

/* Of as many floats as floats_needed says. */
INLINE work_t share_out(const plan_t *plan, const node_t *node, float *work) {
    work_t w;
    long n = plan->floats->num_neurons, m = plan->floats->num_inputs, all = n + node->num_atoms;
    w.lambda = work, work += all + LANES;
    w.mean = work, work += all;
    w.square = work, work += all;
    w.gradient = work, work += all;
    w.c = work, work += n + m;
    w.x = work, work += m;
    w.y = work, work += n;
    w.acc = work, work += n;
    w.reached = work, work += n + LANES;
    w.best = work, work += n;
    w.step_size = work, work += n;
    w.rest = work, work += m;
    w.cells = work, work += plan->floats->most_cells;
    w.taps = work, work += plan->floats->most_taps;
    w.active = (int *)work, work += m;
    w.places = (int *)work, work += plan->num_places;
    w.counts = (int *)work, work += plan->floats->num_layers;
    w.begins = (int *)work, work += plan->num_places;
    w.ends = (int *)work, work += plan->num_places;
    w.spans = (int *)work;
    w.any_rest = 0;
    for (int l = 0; l < plan->floats->num_layers; l++) w.any_rest |= plan->floats->layers[l].map->reads_inputs && !plan->by_columns[l];
    for (int k = 0; k < node->num_atoms; k++)
        for (int t = 0; t < node->atoms[k]->size; t++) w.any_rest |= node->atoms[k]->values[t] < m;
    w.size = 0, w.num_active = 0;
    w.cost = n + m, w.spent = 0;
    return w;
}

/* Marks the values that a position of a layer reads. */
INLINE void mark_cells(const layer_t *map, int p, float *marks) {
    if (map->kind == LAYER_ROWS) {
        for (int j = 0; j < map->n_in; j++)
            if (map->view[j] >= 0) marks[map->view[j]] = 1;
        return;
    }
    int lanes = map->kind == LAYER_LANES, groups = lanes ? 1 : map->groups, run = lanes ? map->groups : 1;
    for (int g = 0; g < groups; g++)
        for (int k = 0; k < map->taps; k++) {
            const int32_t *view = map->view + map->start[p] + g * map->stride + map->offset[k];
            for (int j = 0; j < run; j++)
                if (view[j] >= 0) marks[view[j]] = 1;
        }
}

/* The positions of layers that move: on whose outputs inequalities rest, some of which may differ; and the spans of neurons that
   inequalities rest on. Of a convolution both are few for one neuron behind it, and few move where few inputs do. marks, of values, become 1
   for those that inequalities rest on, or all if there are none; a multiplier that is there already counts, too. */
INLINE void choose_places(const plan_t *plan, const node_t *node, work_t *w, float *marks) {
    int n = plan->floats->num_neurons, m = plan->floats->num_inputs;
    for (int v = 0; v < n + m; v++) marks[v] = node->num_atoms == 0 || (v >= m && w->lambda[v - m] != 0);
    for (int k = 0; k < node->num_atoms; k++)
        for (int t = 0; t < node->atoms[k]->size; t++) marks[node->atoms[k]->values[t]] = 1;
    for (int l = plan->floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = plan->floats->layers[l].map;
        int size = map->groups * map->channels, *places = w->places + plan->first_place[l], count = 0;
        int *begins = w->begins + plan->first_place[l], *ends = w->ends + plan->first_place[l], spans = 0;
        for (int p = 0; p < map->positions; p++) {
            int first = map->neuron + p * size, moves = 0, needed = 0;
            for (int i = first; i < first + size; i++) needed |= marks[m + i] != 0, moves |= marks[m + i] != 0 && node->slopes[i] >= 0;
            if (!needed) continue;
            if (spans && ends[spans - 1] == first) ends[spans - 1] += size;
            else begins[spans] = first, ends[spans++] = first + size;
            if (!moves) continue;
            places[count++] = p;
            mark_cells(map, p, marks);
        }
        w->counts[l] = count, w->spans[l] = spans;
        w->cost += map->positions ? map->num_rows * count : 0;
    }
}

INLINE int last_span(const plan_t *plan, const work_t *w, int l) { return plan->first_place[l] + w->spans[l]; }

#endif
