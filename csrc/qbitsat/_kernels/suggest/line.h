/* The search along one direction of multipliers. All inlined into simplex_loops.c. */
#ifndef QBITSAT_LINE_H
#define QBITSAT_LINE_H

#include "hull.h"

/* A slope below this share of the steepest counts as none. */
#define FLAT 1e-9
/* An input's coefficient that changes by less than this share of the fastest one does not: its sum is rounding. */
#define STILL 1e-6f

/* The first of some blocks of breakpoints, or -1. */
INLINE int earliest(const simplex_t *w, int blocks) {
    int best = 0;
    for (int b = 1; b < blocks; b++)
        if (w->first[b] < w->first[best]) best = b;
    if (w->first[best] == INFINITY) return -1;
    for (int k = best * LANES; k < (best + 1) * LANES; k++)
        if (w->tau[k] == w->first[best]) return k;
    return -1;
}

INLINE void set_tau(simplex_t *w, int breakpoint, float tau) {
    float first = INFINITY;
    w->tau[breakpoint] = tau;
    for (int k = breakpoint / LANES * LANES, l = 0; l < LANES; l++) first = w->tau[k + l] < first ? w->tau[k + l] : first;
    w->first[breakpoint / LANES] = first;
}

/* When each breakpoint comes on the line: inputs, neurons, shares; in blocks, whose number it returns. */
INLINE int list_breakpoints(const run_t *r) {
    const program_t *p = r->program;
    simplex_t *w = r->w;
    int m = p->num_inputs, atoms = r->node->num_atoms, count = m + p->num_neurons + atoms, blocks = (count + LANES - 1) / LANES;
    const float *restrict way = w->way, *restrict v = w->v, *restrict rate = w->rate;
    float *restrict tau = w->tau, none = 0;
    for (int k = 0; k < m; k++) none = fabsf(rate[k]) > none ? fabsf(rate[k]) : none;
    none *= STILL;
    for (int k = 0; k < m; k++) {
        float towards = way[k] * rate[k], left = -way[k] * v[k], t = (left > 0 ? left : 0) / (towards > none ? towards : 1);
        tau[k] = towards > none ? t : INFINITY;
    }
    for (int i = 0; i < p->num_neurons; i++) {
        double growth;
        int next;
        tau[m + i] = next_breakpoint(r, i, &growth, &next);
    }
    for (int a = 0; a < atoms; a++) {
        double rate = w->direction[p->num_active + a];
        int zero = 0;
        for (int j = 0; j < r->basis->size; j++) zero |= r->basis->forms[j].kind == SHARE && r->basis->forms[j].index == a;
        tau[m + p->num_neurons + a] = rate < 0 && !zero ? (float)larger(0, -w->share[a] / rate) : INFINITY;
    }
    for (int k = count; k < blocks * LANES; k++) tau[k] = INFINITY;
    for (int b = 0; b < blocks; b++) {
        float first = INFINITY;
        for (int l = 0; l < LANES; l++) first = tau[b * LANES + l] < first ? tau[b * LANES + l] : first;
        w->first[b] = first;
    }
    return blocks;
}

/* The form that is 0 where a neuron's point may as well be another vertex; float32 can make their accumulators the same. */
INLINE form_t side_to(const run_t *r, int i, int vertex) {
    double acc = VERTEX_ACC(r, vertex, i) - r->w->ref_acc[i], y = VERTEX_Y(r, vertex, i) - r->w->ref_y[i];
    return acc != 0 ? (form_t){y / acc, SLOPE, i} : (form_t){0, CENTER, i};
}

/* Go down the line, past breakpoints, to the one where the value would rise, or stop at the last; returns that one, -1 if there is none at all,
   and how far it is. */
INLINE int search_line(run_t *r, double slope, double *far, form_t *entering) {
    const program_t *p = r->program;
    simplex_t *w = r->w;
    int m = p->num_inputs, blocks = list_breakpoints(r);
    double steepest = -slope;
    *far = 0;
    for (;;) {
        int breakpoint = earliest(w, blocks), next = -1;
        if (breakpoint < 0) return -1;
        double t = larger(*far, w->tau[breakpoint]), growth;
        r->value += slope * (t - *far);
        *far = t;
        int i = breakpoint - m, is_input = breakpoint < m, is_share = breakpoint >= m + p->num_neurons;
        if (is_share) {
            *entering = (form_t){0, SHARE, i - p->num_neurons};
            return breakpoint;
        }
        if (is_input)
            growth = fabsf(w->rate[breakpoint]) * input_width(r, breakpoint);
        else
            next_breakpoint(r, i, &growth, &next);
        slope += growth;
        if (slope > -FLAT * steepest) {
            if (is_input)
                *entering = (form_t){0, INPUT, breakpoint};
            else if (next >= 0)
                *entering = side_to(r, i, next);
            else
                *entering = w->slope_slot[i] >= 0 ? (form_t){0, CENTER, i} : (form_t){1, SLOPE, i};
            return breakpoint;
        }
        float again = INFINITY;
        if (is_input)
            set_high(r, breakpoint, !w->high[breakpoint]);
        else if (next < 0)
            face_ray(r, i, -w->ray[i]);
        else {
            move_neuron(r, i, VERTEX_ACC(r, next, i), VERTEX_Y(r, next, i));
            again = next_breakpoint(r, i, &growth, &next);
        }
        set_tau(w, breakpoint, again);
    }
}

#endif
