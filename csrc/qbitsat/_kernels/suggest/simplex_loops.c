#include "simplex.h"

#include "basis.h"
#include "float_loops.h"
#include "line.h"

#define NAME(x) wide_##x
#define WEIGHT float
#define FACTOR double
#define SUM double
#define WEIGH(w) (w)
#include "layer_loops.h"

/* How far a basic variable may be out of its range, in input steps and output steps. */
#define FEASIBLE 1e-5
/* Forms that are off by this share of the mean one are no longer 0. */
#define DRIFT 1e-4
/* Updates of the inverse until it is made anew. */
#define REFRESH 1000
/* A value counts as below 0 if it is so by this share of its terms: the rest is rounding. */
#define NOISE 1e-6
/* Exchanges in one slot that gain nothing until it rests, so that they can not go on in a circle. */
#define STALLS 3

/* What the multipliers of a layer put on the values that it reads; what falls on padding is in the constants already. */
INLINE void put_back_wide(const run_t *r, const float_layer_t *layer, const double *m, float *v, double *c) {
    const layer_t *map = layer->map;
    int inputs = r->program->num_inputs;
    for (int i = 0; i < map->n_out; i++) r->w->wide_factors[i] = m[map->neuron + i] * r->program->unit[map->neuron + i];
    wide_back(map, layer->rows, r->w->wide_factors, r->w->wide_taps, r->w->wide_cells);
    for (int j = 0; j < map->n_in; j++) {
        int value = map->view[j];
        if (value >= inputs)
            c[value - inputs] += r->w->wide_cells[j];
        else if (value >= 0)
            v[value] += (float)r->w->wide_cells[j];
    }
}

/* What multipliers (of all neurons) and shares put on all values. */
INLINE void carry_back(const run_t *r, const double *m, const double *shares, float *v, double *c) {
    const program_t *p = r->program;
    memset(v, 0, sizeof(float) * p->num_inputs);
    memset(c, 0, sizeof(double) * p->num_neurons);
    for (int a = 0; a < r->node->num_atoms; a++) {
        const inequality_t *atom = r->node->atoms[a];
        for (int t = 0; t < atom->size; t++) {
            int value = atom->values[t];
            if (value < p->num_inputs)
                v[value] -= (float)(shares[a] * atom->coefficients[t]);
            else
                c[value - p->num_inputs] -= shares[a] * atom->coefficients[t];
        }
    }
    for (int l = 0; l < p->floats->num_layers; l++) {
        const float_layer_t *layer = &p->floats->layers[l];
        const layer_t *map = layer->map;
        if (layer->reads_neurons)
            put_back_wide(r, layer, m, v, c);
        else {
            for (int i = 0; i < map->n_out; i++) r->w->factors[i] = (float)(m[map->neuron + i] * p->unit[map->neuron + i]);
            put_back(layer, r->w->factors, v, r->w->cells, r->w->taps);
        }
    }
}

/* Multipliers and what follows from them, from the row of the scale; the largest that a form is off 0. */
INLINE double spread(run_t *r) {
    const program_t *p = r->program;
    basis_t *b = r->basis;
    simplex_t *w = r->w;
    const double *point = NULL;
    double off = 0, size = 0;
    for (int j = 0; j < b->size; j++)
        if (b->forms[j].kind == SCALE) point = b->inverse + (long)j * b->size;
    memset(w->m, 0, sizeof(double) * p->num_neurons);
    for (int k = 0; k < p->num_active; k++) w->m[p->active[k]] = point[k];
    memcpy(w->share, point + p->num_active, sizeof(double) * r->node->num_atoms);
    carry_back(r, w->m, w->share, w->v, w->c);
    for (int k = 0; k < p->num_inputs; k++) size += fabsf(w->v[k]);
    for (int j = 0; j < b->size; j++)
        if (b->forms[j].kind == INPUT) off = larger(off, fabsf(w->v[b->forms[j].index]));
    return off * p->num_inputs / larger(size, 1e-30);
}

/* Which forms are 0, the ends and vertices that the others' signs say, and the slope of the value there. */
INLINE void settle(run_t *r) {
    const program_t *p = r->program;
    const node_t *node = r->node;
    basis_t *b = r->basis;
    simplex_t *w = r->w;
    float *restrict sums = w->sums;
    for (int k = 0; k < p->num_inputs; k++) {
        w->input_slot[k] = -1, w->high[k] = w->v[k] > 0;
        w->way[k] = node->x_hi[k] > node->x_lo[k] ? (w->high[k] ? -1.0f : 1.0f) : 0.0f;
    }
    for (int i = 0; i < p->num_neurons; i++) w->slope_slot[i] = w->center_slot[i] = -1;
    for (int j = 0; j < b->size; j++) {
        form_t form = b->forms[j];
        if (form.kind == INPUT) w->input_slot[form.index] = j, w->high[form.index] = 0, w->v[form.index] = 0, w->way[form.index] = 0;
        if (form.kind == SLOPE) w->slope_slot[form.index] = j;
        if (form.kind == CENTER) w->center_slot[form.index] = j;
    }
    memset(w->q, 0, sizeof(double) * b->size);
    for (int i = 0; i < p->num_neurons; i++) {
        int slope = w->slope_slot[i] >= 0, center = w->center_slot[i] >= 0;
        w->ref_acc[i] = w->ref_y[i] = 0;
        if (slope != center) {
            double t = slope ? w->c[i] : w->m[i];
            face_ray(r, i, t >= 0 ? 1 : -1);
            continue;
        }
        double best = -DBL_MAX, acc = 0, y = 0;
        for (int k = 0; k < VERTICES; k++) {
            double a = VERTEX_ACC(r, k, i), v = VERTEX_Y(r, k, i), value = w->c[i] * v - w->m[i] * a;
            if (value > best) best = value, acc = a, y = v;
        }
        move_neuron(r, i, acc, y);
    }
    memset(sums, 0, sizeof(float) * p->num_active);
    for (int k = 0; k < p->num_inputs; k++) { /* whole numbers of moderate size: exact */
        float x = (w->high[k] ? node->x_hi[k] : node->x_lo[k]) - p->x_lo[k];
        const column_t *column = &p->columns[k];
        const float *restrict weights = column->weights;
        float *restrict mine = sums + column->neuron;
        if (x != 0)
            for (int t = 0; t < column->size; t++) mine[t] += x * weights[t];
    }
    for (int k = 0; k < p->num_active; k++) w->q[k] += p->constant[p->active[k]] + p->reached[p->active[k]] + sums[k];
    for (int a = 0; a < node->num_atoms; a++) {
        w->q[p->num_active + a] += node->atoms[a]->bound;
        for (int t = 0; t < node->atoms[a]->size; t++) {
            int value = node->atoms[a]->values[t];
            if (value < p->num_inputs) w->q[p->num_active + a] -= node->atoms[a]->coefficients[t] * (w->high[value] ? node->x_hi[value] : node->x_lo[value]);
        }
    }
}

/* The value from scratch, and the magnitudes of its terms; needs what `spread` leaves. */
INLINE double evaluate(const run_t *r, double *size) {
    const program_t *p = r->program;
    const node_t *node = r->node;
    const simplex_t *w = r->w;
    double total = 0, magnitude = 0;
    for (int i = 0; i < p->num_neurons; i++) {
        double term = w->m[i] * p->constant[i], best = -DBL_MAX;
        for (int k = 0; k < VERTICES; k++) best = larger(best, w->c[i] * VERTEX_Y(r, k, i) - w->m[i] * VERTEX_ACC(r, k, i));
        total += term + best, magnitude += fabs(term) + fabs(best);
    }
    for (int k = 0; k < p->num_inputs; k++) {
        double low = (double)w->v[k] * node->x_lo[k], high = (double)w->v[k] * node->x_hi[k];
        total += low > high ? low : high, magnitude += fabs(high);
    }
    for (int a = 0; a < node->num_atoms; a++) total += w->share[a] * node->atoms[a]->bound, magnitude += fabs(w->share[a] * node->atoms[a]->bound);
    *size = magnitude;
    return total;
}

/* A form that leaves the basis: its slot, which way it goes from 0, how far its variable is out of range. */
typedef struct {
    int slot, way;
    double out, score, sigma, norm;
} leaving_t;

INLINE void consider(leaving_t *best, int slot, double x, double lo, double hi, double norm, double sigma) {
    double out = x > hi ? x - hi : lo - x;
    if (!(out > FEASIBLE) || !(out * out > best->score * norm)) return;
    *best = (leaving_t){slot, x > hi ? 1 : -1, out, out * out / norm, sigma, norm};
}

/* Both forms of a neuron are 0: its point has to lie in the hull, which is so if it does not cross any side. */
INLINE void consider_hull(const run_t *r, leaving_t *best, int i) {
    const simplex_t *w = r->w;
    int s = w->slope_slot[i], t = w->center_slot[i], n = r->basis->size;
    double lo, hi, sigma = r->basis->forms[s].sigma;
    const double *bs = r->basis->inverse + (long)s * n, *bt = r->basis->inverse + (long)t * n;
    double both = dot(bs, bt, n);
    find_range(r, i, -1, 0, w->ref_acc[i], w->ref_y[i], &lo, &hi);
    consider(best, s, w->x[s], lo, hi, w->norm[s], 0);
    for (int k = 0; k < SIDES; k++) {
        double run = VERTEX_ACC(r, SIDE[k][1], i) - VERTEX_ACC(r, SIDE[k][0], i);
        if (run <= 0) continue;
        double side = (VERTEX_Y(r, SIDE[k][1], i) - VERTEX_Y(r, SIDE[k][0], i)) / run, turn = sigma - side;
        find_range(r, i, side, 1, w->ref_acc[i], w->ref_y[i], &lo, &hi);
        consider(best, t, w->x[t] + turn * w->x[s], lo, hi, w->norm[t] + 2 * turn * both + turn * turn * w->norm[s], side);
    }
}

/* The form whose variable is farthest out of its range by the length of its direction; slot -1: none is, the value is the smallest. */
INLINE leaving_t choose_leaving(const run_t *r) {
    const basis_t *b = r->basis;
    const simplex_t *w = r->w;
    leaving_t best = {-1, 0, 0, 0, 0, 0};
    for (int j = 0; j < b->size; j++) {
        int i = b->forms[j].index;
        if (w->stalls[j] == STALLS) continue;
        switch (b->forms[j].kind) {
        case INPUT: consider(&best, j, w->x[j], 0, input_width(r, i), w->norm[j], 0); break;
        case SHARE: consider(&best, j, w->x[j], 0, DBL_MAX, w->norm[j], 0); break;
        case SLOPE:
        case CENTER:
            if (w->slope_slot[i] < 0 || w->center_slot[i] < 0)
                consider(&best, j, w->x[j], 0, w->width[i], w->norm[j], 0);
            else if (b->forms[j].kind == SLOPE)
                consider_hull(r, &best, i);
        }
    }
    return best;
}

/* Take a form out of the basis: what it belongs to goes where the direction takes it. */
INLINE void leave(const run_t *r, leaving_t leaving) {
    basis_t *b = r->basis;
    simplex_t *w = r->w;
    form_t *form = &b->forms[leaving.slot];
    int i = form->index, n = b->size, slope = form->kind == SLOPE;
    if (form->kind == INPUT) {
        w->input_slot[i] = -1;
        set_high(r, i, leaving.way > 0);
    }
    if (form->kind != SLOPE && form->kind != CENTER) return;
    if (w->slope_slot[i] < 0 || w->center_slot[i] < 0) {
        double along = leaving.way > 0 ? w->width[i] : 0;
        *(slope ? &w->slope_slot[i] : &w->center_slot[i]) = -1;
        move_neuron(r, i, w->ref_acc[i] + (slope ? along : 0), w->ref_y[i] + (slope ? form->sigma * along : along));
    } else if (slope) {
        w->slope_slot[i] = -1;
        face_ray(r, i, -leaving.way);
    } else { /* along the normal of a side, whose slope stays 0 */
        int s = w->slope_slot[i];
        add(b->inverse + (long)leaving.slot * n, b->inverse + (long)s * n, b->forms[s].sigma - leaving.sigma, n);
        w->norm[leaving.slot] = leaving.norm;
        b->forms[s].sigma = leaving.sigma;
        w->center_slot[i] = -1;
        face_ray(r, i, leaving.way);
    }
}

/* The form that now is 0 takes the slot. */
INLINE void enter(const run_t *r, int slot, form_t form) {
    simplex_t *w = r->w;
    int i = form.index;
    r->basis->forms[slot] = form;
    if (form.kind == INPUT) {
        w->input_slot[i] = slot, w->v[i] = 0, w->way[i] = 0;
        set_high(r, i, 0);
    }
    if (form.kind == CENTER) {
        w->center_slot[i] = slot;
        if (w->slope_slot[i] < 0) face_ray(r, i, w->m[i] >= 0 ? 1 : -1);
    }
    if (form.kind != SLOPE) return;
    w->slope_slot[i] = slot;
    if (w->center_slot[i] >= 0) return;
    double lo, hi; /* which side of the hull: that of the vertex it comes from */
    find_range(r, i, form.sigma, 1, w->ref_acc[i], w->ref_y[i], &lo, &hi);
    face_ray(r, i, hi - lo < ON_LINE ? (w->c[i] >= 0 ? 1 : -1) : -lo >= hi ? 1 : -1);
}

/* One exchange of forms; 0 if nothing can be gained, -1 if the value falls without end, -2 if numbers fail. */
INLINE int step(run_t *r) {
    const program_t *p = r->program;
    basis_t *b = r->basis;
    simplex_t *w = r->w;
    leaving_t leaving = choose_leaving(r);
    if (leaving.slot < 0) return 0;
    leave(r, leaving);
    const double *row = b->inverse + (long)leaving.slot * b->size;
    for (int i = 0; i < b->size; i++) w->direction[i] = leaving.way * row[i];
    memset(w->m_rate, 0, sizeof(double) * p->num_neurons);
    for (int k = 0; k < p->num_active; k++) w->m_rate[p->active[k]] = w->direction[k];
    carry_back(r, w->m_rate, w->direction + p->num_active, w->rate, w->c_rate);
    double far;
    form_t form = {0, SCALE, 0};
    int breakpoint = search_line(r, -leaving.out, &far, &form);
    if (breakpoint < 0) return -1;
    for (int i = 0; i < p->num_neurons; i++) w->m[i] += far * w->m_rate[i], w->c[i] += far * w->c_rate[i];
    for (int a = 0; a < r->node->num_atoms; a++) w->share[a] += far * w->direction[p->num_active + a];
    float along = (float)far;
    for (int k = 0; k < p->num_inputs; k++) w->v[k] += along * w->rate[k];
    write_form(r, form, w->entering);
    if (far > 0)
        memset(w->stalls, 0, sizeof(int) * b->size);
    else
        w->stalls[leaving.slot]++;
    enter(r, leaving.slot, form);
    return exchange(r, leaving.slot) ? 1 : -2;
}

/* The relaxation's point and coefficients. */
INLINE void report(const run_t *r) {
    const program_t *p = r->program;
    const node_t *node = r->node;
    const simplex_t *w = r->w;
    for (int k = 0; k < p->num_inputs; k++) {
        double x = w->high[k] ? node->x_hi[k] : node->x_lo[k];
        if (w->input_slot[k] >= 0) x += larger(0, smaller(input_width(r, k), w->x[w->input_slot[k]]));
        node->coefficients[k] = w->v[k], node->x_mean[k] = (float)x, node->x_best[k] = (float)x;
    }
    for (int i = 0; i < p->num_neurons; i++) {
        int s = w->slope_slot[i], t = w->center_slot[i];
        double along = s >= 0 ? w->x[s] : 0;
        node->coefficients[p->num_inputs + i] = (float)w->c[i];
        node->acc_mean[i] = (float)((w->ref_acc[i] + along) / p->unit[i]);
        node->y_mean[i] = (float)(w->ref_y[i] + (s >= 0 ? r->basis->forms[s].sigma * along : 0) + (t >= 0 ? w->x[t] : 0));
    }
}

INLINE void write_multipliers(const run_t *r) {
    const program_t *p = r->program;
    for (int i = 0; i < p->num_neurons; i++) r->node->multipliers[i] = (float)(r->w->m[i] * p->unit[i]);
    for (int a = 0; a < r->node->num_atoms; a++) r->node->shares[a] = (float)larger(0, r->w->share[a]);
}

/* Where the value falls without end, the direction alone proves it, and no scale has to be chosen. */
INLINE void point_along(run_t *r) {
    memcpy(r->w->m, r->w->m_rate, sizeof(double) * r->program->num_neurons);
    memcpy(r->w->share, r->w->direction + r->program->num_active, sizeof(double) * r->node->num_atoms);
}

/* Exchanges from the basis until nothing is gained; the last `step`'s word, -2 also if the basis is no good. */
INLINE int optimize(run_t *r, int cold, int limit, int *taken) {
    basis_t *b = r->basis;
    double size;
    int state = 1;
    if (cold && !begin(r)) return -2;
    /* A loop, so that each is inlined once: copies cost half of the time that a build takes. */
    for (int anew = cold || b->updates > REFRESH, last = 0;; anew = last = 1) {
        if (anew && !invert(r)) return -2;
        if (!(spread(r) > DRIFT)) break;
        if (last) return -2;
    }
    r->value = evaluate(r, &size);
    settle(r);
    look(r);
    memset(r->w->stalls, 0, sizeof(int) * b->size);
    for (int k = 0; k < limit && state > 0 && r->value >= -NOISE * size; k++) state = step(r), ++*taken;
    return state;
}

/* The value after exchanges from the basis, or from a new one, and what goes with it to the node; INFINITY if numbers fail. */
INLINE double attempt(run_t *r, int cold, int limit, int *taken) {
    simplex_t *w = r->w;
    int state = optimize(r, cold, limit, taken);
    if (state == -2) return INFINITY;
    report(r);
    if (state == -1) point_along(r);
    carry_back(r, w->m, w->share, w->v, w->c);
    double size, value = evaluate(r, &size);
    if (!(fabs(value) < INFINITY)) return INFINITY;
    int below = value < -NOISE * size;
    if (state != -1 || below) write_multipliers(r);
    return below ? value : larger(value, 0);
}

EVERY_TARGET
double solve(const program_t *program, const node_t *node, basis_t *basis, simplex_t *work, const double *normalization, int limit, int *taken) {
    run_t r = {program, node, basis, work, normalization, 0};
    int cold = basis->size == 0 || basis->num_atoms != node->num_atoms;
    *taken = 0;
    basis->num_atoms = node->num_atoms, basis->size = program->num_active + node->num_atoms;
    copy_hulls(&r);
    for (;; cold = 1) {
        double value = attempt(&r, cold, limit, taken);
        if (value < INFINITY || cold) return value;
    }
}
