/* Affine maps in float32, in the structure that their weights repeat in: see `network.affine`. Nothing here decides. */
#ifndef QBITSAT_FLOATS_H
#define QBITSAT_FLOATS_H

#include <stdint.h>

enum { DENSE, PATCHES, CHANNELWISE, ROWS };

/* acc = W x for n_in cells x: cell j is value view[j], or `padding` where that is -1; consecutive values from `run` on unless it is -1.

   DENSE        rows[n_out, n_in]
   PATCHES      acc[p, g, c] = sum over k of rows[g, c, k] * x[start[p] + g * stride + offset[k]]
   CHANNELWISE  the same with one row a group and stride 1: rows[k, g]
   ROWS         row i is indices and rows from indptr[i] to indptr[i + 1] */
typedef struct {
    int kind, n_in, n_out, run;
    float padding;
    int positions, groups, channels, taps, stride;
    const int32_t *view, *start, *offset, *indices;
    const int64_t *indptr;
    const float *rows;
} floats_t;

/* For rows of `width` values; `work` has room for cells and taps. */
void apply(const floats_t *map, const float *values, long width, float *acc, long batch, float *work);
void back(const floats_t *map, const float *m, float *values, long width, long batch, float *work);

#endif
