/* The state of one node's simplex method, the forms that it is about, and the hulls of its neurons. All inlined into simplex_loops.c. */
#ifndef QBITSAT_HULL_H
#define QBITSAT_HULL_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "simplex.h"
#include "vector.h"

/* Vertices of a hull that are this near a line count as on it. */
#define ON_LINE 1e-9
/* The share of two terms below which their difference is rounding: no way leads round three vertices on a line. */
#define ROUNDING 1e-12

/* Pairs of vertices, among which are all sides of a hull: saturation can make its neighbours' line the side in place of a vertex. */
enum { SIDES = 11 };
static const int SIDE[SIDES][2] = {{0, 1}, {1, 2}, {2, 5}, {0, 2}, {1, 5}, {0, 5}, {0, 3}, {3, 4}, {4, 5}, {0, 4}, {3, 5}};

/* One node's run. */
typedef struct {
    const program_t *program;
    const node_t *node;
    basis_t *basis;
    simplex_t *w;
    const double *normalization;
    double value;
} run_t;

#define VERTEX_ACC(r, k, i) (r)->w->vertex_acc[(k) * (r)->program->num_neurons + (i)]
#define VERTEX_Y(r, k, i) (r)->w->vertex_y[(k) * (r)->program->num_neurons + (i)]

INLINE double larger(double a, double b) { return a > b ? a : b; }
INLINE double smaller(double a, double b) { return a < b ? a : b; }

INLINE double dot(const double *restrict a, const double *restrict b, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

INLINE void add(double *restrict sum, const double *restrict row, double factor, int n) {
    for (int i = 0; i < n; i++) sum[i] += factor * row[i];
}

/* q += change * what a value's form is in multipliers and shares */
INLINE void add_form(const run_t *r, double *q, int value, double change) {
    const column_t *column = &r->program->columns[value];
    const float *restrict weights = column->weights;
    double *restrict mine = q + column->neuron;
    for (int t = 0; t < column->size; t++) mine[t] += change * weights[t];
    if (!r->program->is_named[value]) return;
    for (int a = 0; a < r->node->num_atoms; a++)
        for (int t = 0; t < r->node->atoms[a]->size; t++)
            if (r->node->atoms[a]->values[t] == value) q[r->program->num_active + a] -= change * r->node->atoms[a]->coefficients[t];
}

/* The vertices at which direction * (beta y - alpha acc) is largest: the first of them along the line, and how long it is. */
INLINE void find_face(const run_t *r, int i, double alpha, double beta, int direction, double *acc, double *y, double *length) {
    double most = -DBL_MAX, from = DBL_MAX, to = -DBL_MAX, size = 0;
    for (int k = 0; k < VERTICES; k++) {
        double u = direction * (beta * VERTEX_Y(r, k, i) - alpha * VERTEX_ACC(r, k, i));
        most = larger(most, u), size = larger(size, fabs(u));
    }
    for (int k = 0; k < VERTICES; k++) {
        double a = VERTEX_ACC(r, k, i), b = VERTEX_Y(r, k, i), along = beta != 0 ? a : b;
        if (direction * (beta * b - alpha * a) < most - ON_LINE * (1 + size)) continue;
        if (along < from) from = along, *acc = a, *y = b;
        to = larger(to, along);
    }
    *length = to - from;
}

/* How far beta y - alpha acc ranges over a hull, from its value at a point. */
INLINE void find_range(const run_t *r, int i, double alpha, double beta, double acc, double y, double *lo, double *hi) {
    *lo = DBL_MAX, *hi = -DBL_MAX;
    for (int k = 0; k < VERTICES; k++) {
        double u = beta * (VERTEX_Y(r, k, i) - y) - alpha * (VERTEX_ACC(r, k, i) - acc);
        *lo = smaller(*lo, u), *hi = larger(*hi, u);
    }
}

/* Move the point that a neuron counts with, in q too. */
INLINE void move_neuron(const run_t *r, int i, double acc, double y) {
    simplex_t *w = r->w;
    int slot = r->program->slot[i];
    if (slot >= 0) w->q[slot] -= acc - w->ref_acc[i];
    if (y != w->ref_y[i]) add_form(r, w->q, r->program->num_inputs + i, y - w->ref_y[i]);
    w->ref_acc[i] = acc, w->ref_y[i] = y;
}

/* Put a neuron with one form at the start of the face that it is on. */
INLINE void face_ray(const run_t *r, int i, int ray) {
    simplex_t *w = r->w;
    double acc = 0, y = 0;
    int slope = w->slope_slot[i] >= 0;
    find_face(r, i, slope ? r->basis->forms[w->slope_slot[i]].sigma : 1, slope, ray, &acc, &y, &w->width[i]);
    w->ray[i] = ray;
    move_neuron(r, i, acc, y);
}

INLINE float input_width(const run_t *r, int k) { return r->node->x_hi[k] - r->node->x_lo[k]; }

INLINE void set_high(const run_t *r, int k, int high) {
    if (r->w->input_slot[k] < 0) r->w->way[k] = input_width(r, k) > 0 ? (high ? -1.0f : 1.0f) : 0.0f;
    if (high == r->w->high[k]) return;
    r->w->high[k] = high;
    add_form(r, r->w->q, k, high ? input_width(r, k) : -input_width(r, k));
}

/* The node's hulls, accumulators in units; of outputs that nothing reads only the accumulators count. */
INLINE void copy_hulls(run_t *r) {
    const program_t *p = r->program;
    simplex_t *w = r->w;
    int n = p->num_neurons, *read = w->ray;
    memcpy(read, p->is_read, sizeof(int) * n);
    for (int a = 0; a < r->node->num_atoms; a++)
        for (int t = 0; t < r->node->atoms[a]->size; t++) {
            int value = r->node->atoms[a]->values[t];
            if (value >= p->num_inputs && r->node->atoms[a]->coefficients[t] != 0) read[value - p->num_inputs] = 1;
        }
    for (int k = 0; k < VERTICES; k++)
        for (int i = 0; i < n; i++) {
            w->vertex_acc[k * n + i] = p->unit[i] * r->node->vertex_acc[k * n + i];
            w->vertex_y[k * n + i] = read[i] ? r->node->vertex_y[k * n + i] : 0;
        }
}

/* When a neuron's next breakpoint comes on the line, and by how much the value's slope grows there; `next` is the vertex that it goes to. */
INLINE float next_breakpoint(const run_t *r, int i, double *growth, int *next) {
    const simplex_t *w = r->w;
    double first = INFINITY;
    *growth = 0, *next = -1;
    int slope = w->slope_slot[i] >= 0, center = w->center_slot[i] >= 0;
    if (slope && center) return INFINITY;
    if (slope || center) {
        double t = slope ? w->c[i] : w->m[i], rate = slope ? w->c_rate[i] : w->m_rate[i], lo, hi;
        if (!(w->ray[i] * rate < 0)) return INFINITY;
        find_range(r, i, slope ? r->basis->forms[w->slope_slot[i]].sigma : 1, slope, 0, 0, &lo, &hi);
        *growth = fabs(rate) * (hi - lo);
        return (float)larger(0, -t / rate);
    }
    if (w->c_rate[i] == 0 && w->m_rate[i] == 0) return INFINITY;
    for (int k = 0; k < VERTICES; k++) {
        double y = VERTEX_Y(r, k, i) - w->ref_y[i], acc = VERTEX_ACC(r, k, i) - w->ref_acc[i];
        double up = w->c_rate[i] * y, down = w->m_rate[i] * acc, rate = up - down, t;
        if (!(rate > ROUNDING * (fabs(up) + fabs(down)))) continue;
        t = larger(0, -(w->c[i] * y - w->m[i] * acc) / rate);
        if (t < first || (t == first && rate > *growth)) first = t, *growth = rate, *next = k;
    }
    return (float)first;
}

#endif
