/* The loops over `floats_t`. All inlined into the kernels. */
#ifndef QBITSAT_FLOATS_LOOPS_H
#define QBITSAT_FLOATS_LOOPS_H

#include <string.h>

#include "floats.h"
#include "vector.h"

/* sum += factor * row */
INLINE void add_row(float *restrict sum, const float *restrict row, float factor, int n) {
    for (int j = 0; j < n; j++) sum[j] += factor * row[j];
}

/* sum += four factors times four rows: a quarter of the traffic to `sum` */
INLINE void add_four(float *restrict sum, const float *const *rows, const float *f, int n) {
    const float *restrict a = rows[0], *restrict b = rows[1], *restrict c = rows[2], *restrict d = rows[3];
    for (int j = 0; j < n; j++) sum[j] += f[0] * a[j] + f[1] * b[j] + f[2] * c[j] + f[3] * d[j];
}

/* sum += m W for some rows of W, skipping those with a factor of 0 */
INLINE void add_rows(float *sum, const float *rows, const float *m, int count, int n) {
    const float *held[4];
    float factors[4];
    int some = 0;
    for (int i = 0; i < count; i++) {
        if (m[i] == 0) continue;
        held[some] = rows + (long)i * n, factors[some++] = m[i];
        if (some == 4) add_four(sum, held, factors, n), some = 0;
    }
    while (some--) add_row(sum, held[some], factors[some], n);
}

INLINE float dot_floats(const float *restrict a, const float *restrict b, int n) {
    float sum = 0;
    for (int j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

/* The cells among the values: where they are, or gathered into `cells`, which has room for them. */
INLINE const float *gather(const floats_t *map, const float *values, float *cells) {
    if (map->run >= 0) return values + map->run;
    for (int j = 0; j < map->n_in; j++) cells[j] = map->view[j] < 0 ? map->padding : values[map->view[j]];
    return cells;
}

/* acc = W x; `taps` has room for those of one position */
INLINE void apply_floats(const floats_t *map, const float *restrict x, float *restrict acc, float *restrict taps) {
    int K = map->taps, C = map->channels, G = map->groups;
    switch (map->kind) {
    case DENSE:
        for (int i = 0; i < map->n_out; i++) acc[i] = dot_floats(map->rows + (long)i * map->n_in, x, map->n_in);
        break;
    case PATCHES:
        for (int p = 0; p < map->positions; p++)
            for (int g = 0; g < G; g++, acc += C) {
                const float *from = x + map->start[p] + (long)g * map->stride;
                for (int k = 0; k < K; k++) taps[k] = from[map->offset[k]];
                for (int c = 0; c < C; c++) acc[c] = dot_floats(map->rows + ((long)g * C + c) * K, taps, K);
            }
        break;
    case CHANNELWISE:
        memset(acc, 0, sizeof(float) * map->n_out);
        for (int p = 0; p < map->positions; p++, acc += G)
            for (int k = 0; k < K; k++) {
                const float *restrict from = x + map->start[p] + map->offset[k], *restrict row = map->rows + (long)k * G;
                for (int g = 0; g < G; g++) acc[g] += row[g] * from[g];
            }
        break;
    default:
        for (int i = 0; i < map->n_out; i++) {
            float sum = 0;
            for (int64_t k = map->indptr[i]; k < map->indptr[i + 1]; k++) sum += map->rows[k] * x[map->indices[k]];
            acc[i] = sum;
        }
    }
}

/* c += m W over cells; `taps` has room for those of one position */
INLINE void back_floats(const floats_t *map, const float *restrict m, float *restrict c, float *restrict taps) {
    int K = map->taps, C = map->channels, G = map->groups;
    switch (map->kind) {
    case DENSE: add_rows(c, map->rows, m, map->n_out, map->n_in); break;
    case PATCHES:
        for (int p = 0; p < map->positions; p++)
            for (int g = 0; g < G; g++, m += C) {
                float *to = c + map->start[p] + (long)g * map->stride;
                memset(taps, 0, sizeof(float) * K);
                add_rows(taps, map->rows + (long)g * C * K, m, C, K);
                for (int k = 0; k < K; k++) to[map->offset[k]] += taps[k];
            }
        break;
    case CHANNELWISE:
        for (int p = 0; p < map->positions; p++, m += G)
            for (int k = 0; k < K; k++) {
                float *restrict to = c + map->start[p] + map->offset[k];
                const float *restrict row = map->rows + (long)k * G;
                for (int g = 0; g < G; g++) to[g] += row[g] * m[g];
            }
        break;
    default:
        for (int i = 0; i < map->n_out; i++)
            for (int64_t k = map->indptr[i]; m[i] != 0 && k < map->indptr[i + 1]; k++) c[map->indices[k]] += m[i] * map->rows[k];
    }
}

/* values += m W, and what falls on padding, times it: a constant. `cells` has room for the cells. */
INLINE float pass_back(const floats_t *map, const float *m, float *values, float *cells, float *taps) {
    float constant = 0;
    if (map->run >= 0) {
        back_floats(map, m, values + map->run, taps);
        return 0;
    }
    memset(cells, 0, sizeof(float) * map->n_in);
    back_floats(map, m, cells, taps);
    for (int j = 0; j < map->n_in; j++)
        if (map->view[j] < 0)
            constant += cells[j];
        else
            values[map->view[j]] += cells[j];
    return constant * map->padding;
}

#endif
