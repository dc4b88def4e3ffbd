/* The forms that are 0 at a point, and the inverse of their matrix. All inlined into simplex_loops.c. */
#ifndef QBITSAT_BASIS_H
#define QBITSAT_BASIS_H

#include "hull.h"

/* A pivot below it would spoil the inverse. */
#define SMALL_PIVOT 1e-7

/* A form's coefficients. */
INLINE void write_form(const run_t *r, form_t form, double *g) {
    int active = r->program->num_active;
    memset(g, 0, sizeof(double) * r->basis->size);
    switch (form.kind) {
    case INPUT: add_form(r, g, form.index, 1); break;
    case SLOPE:
        if (form.sigma != 0) add_form(r, g, r->program->num_inputs + form.index, form.sigma);
        if (r->program->slot[form.index] >= 0) g[r->program->slot[form.index]] -= 1; /* of others the multiplier is 0 anyway */
        break;
    case CENTER: add_form(r, g, r->program->num_inputs + form.index, 1); break;
    case SHARE: g[active + form.index] = -1; break;
    default:
        if (r->node->num_atoms)
            for (int a = 0; a < r->node->num_atoms; a++) g[active + a] = 1;
        else
            for (int k = 0; k < active; k++) g[k] = r->normalization[r->program->active[k]];
    }
}

/* The inverse, its rows' squares, and basic variables, from the forms; 0 if these depend on each other. */
INLINE int invert(run_t *r) {
    basis_t *b = r->basis;
    int n = b->size;
    double *a = r->w->spare, *inverse = b->inverse, *row = r->w->entering;
    for (int j = 0; j < n; j++) { /* a is the transpose of the forms, by rows */
        write_form(r, b->forms[j], row);
        for (int i = 0; i < n; i++) a[(long)i * n + j] = row[i];
    }
    memset(inverse, 0, sizeof(double) * n * n);
    for (int i = 0; i < n; i++) inverse[(long)i * n + i] = 1;
    for (int k = 0; k < n; k++) {
        int best = k;
        for (int i = k + 1; i < n; i++)
            if (fabs(a[(long)i * n + k]) > fabs(a[(long)best * n + k])) best = i;
        double top = a[(long)best * n + k];
        if (fabs(top) < 1e-9) return 0;
        double *ak = a + (long)k * n, *bk = inverse + (long)k * n;
        if (best != k)
            for (int j = 0; j < n; j++) {
                double *p = a + (long)best * n + j, *q = inverse + (long)best * n + j, swap = ak[j];
                ak[j] = *p, *p = swap, swap = bk[j], bk[j] = *q, *q = swap;
            }
        for (int j = 0; j < n; j++) ak[j] /= top, bk[j] /= top;
        for (int i = 0; i < n; i++) {
            double factor = a[(long)i * n + k];
            if (i == k || factor == 0) continue;
            add(a + (long)i * n + k, ak + k, -factor, n - k);
            add(inverse + (long)i * n, bk, -factor, n);
        }
    }
    b->updates = 0;
    return 1;
}

/* Forms to begin with: every neuron on the line between the ends of its range, all of the scale on the first inequality; the inverse is
   not made. */
INLINE int begin(run_t *r) {
    basis_t *b = r->basis;
    const program_t *p = r->program;
    int n = 0, scaled = r->node->num_atoms > 0;
    for (int k = 0; k < p->num_active; k++) {
        int i = p->active[k];
        double slope = r->node->slopes[i] > 0 ? r->node->slopes[i] / p->unit[i] : 0;
        if (!scaled && r->normalization[i] != 0) {
            scaled = 1;
            continue;
        }
        b->forms[n++] = (form_t){VERTEX_Y(r, 5, i) > VERTEX_Y(r, 0, i) ? slope : 0, SLOPE, i};
    }
    b->forms[n++] = (form_t){0, SCALE, 0};
    for (int a = 1; a < r->node->num_atoms; a++) b->forms[n++] = (form_t){0, SHARE, a};
    return n == b->size;
}

/* Products of the inverse's rows with three vectors, two rows at a time: one sum alone would wait for itself. */
INLINE void multiply(const double *inverse, int n, const double *restrict a, const double *restrict b, const double *restrict c,
                     double *restrict by_a, double *restrict by_b, double *restrict by_c) {
    int k = 0;
    for (; k + 2 <= n; k += 2) {
        const double *restrict row = inverse + (long)k * n, *restrict other = row + n;
        double a0 = 0, b0 = 0, c0 = 0, a1 = 0, b1 = 0, c1 = 0;
        for (int i = 0; i < n; i++) {
            a0 += row[i] * a[i], b0 += row[i] * b[i], c0 += row[i] * c[i];
            a1 += other[i] * a[i], b1 += other[i] * b[i], c1 += other[i] * c[i];
        }
        by_a[k] = a0, by_b[k] = b0, by_c[k] = c0, by_a[k + 1] = a1, by_b[k + 1] = b1, by_c[k + 1] = c1;
    }
    for (; k < n; k++) by_a[k] = dot(inverse + (long)k * n, a, n), by_b[k] = dot(inverse + (long)k * n, b, n), by_c[k] = dot(inverse + (long)k * n, c, n);
}

/* Another form takes a slot, whose coefficients are in w->entering: the inverse, its rows' squares and basic variables; 0 if the pivot is
   too small. */
INLINE int exchange(run_t *r, int slot) {
    basis_t *b = r->basis;
    simplex_t *w = r->w;
    int n = b->size;
    double *row = b->inverse + (long)slot * n;
    multiply(b->inverse, n, w->entering, w->q, row, w->pivot, w->x, w->spare);
    double pivot = w->pivot[slot], x = w->x[slot] / pivot, square = w->norm[slot] / (pivot * pivot);
    if (!(fabs(pivot) > SMALL_PIVOT && fabs(pivot) < INFINITY)) return 0;
    for (int i = 0; i < n; i++) row[i] /= pivot;
    for (int k = 0; k < n; k++) {
        double factor = w->pivot[k];
        if (k == slot) continue;
        w->x[k] = factor * x - w->x[k];
        if (fabs(factor) < 1e-13) continue;
        w->norm[k] = larger(w->norm[k] - 2 * factor * w->spare[k] / pivot + factor * factor * square, 1e-30);
        add(b->inverse + (long)k * n, row, -factor, n);
    }
    w->x[slot] = -x, w->norm[slot] = square;
    b->updates++;
    return 1;
}

/* Basic variables and the squares of directions from scratch. */
INLINE void look(run_t *r) {
    int n = r->basis->size, k = 0;
    const double *restrict q = r->w->q;
    for (; k + 2 <= n; k += 2) {
        const double *restrict row = r->basis->inverse + (long)k * n, *restrict other = row + n;
        double x0 = 0, s0 = 0, x1 = 0, s1 = 0;
        for (int i = 0; i < n; i++) {
            x0 += row[i] * q[i], s0 += row[i] * row[i];
            x1 += other[i] * q[i], s1 += other[i] * other[i];
        }
        r->w->x[k] = -x0, r->w->norm[k] = s0, r->w->x[k + 1] = -x1, r->w->norm[k + 1] = s1;
    }
    for (; k < n; k++) r->w->x[k] = -dot(r->basis->inverse + (long)k * n, q, n), r->w->norm[k] = dot(r->basis->inverse + (long)k * n, r->basis->inverse + (long)k * n, n);
}

#endif
