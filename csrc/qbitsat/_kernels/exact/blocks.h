/* The layers of a query as kernels see them: see blocks.pyx. */
#ifndef QBITSAT_BLOCKS_H
#define QBITSAT_BLOCKS_H

#include <stdint.h>

/* One layer: accumulators of n_out neurons, from `neuron` on in order, of n_in values from `source` on. The matrix is there twice: by rows,
   and without zeros as row i's indices and weights from indptr[i] to indptr[i + 1].

   Output i, of channel k = i % channels, is v for accumulators from steps[k, v - y_min] to steps[k, v - y_min + 1] - 1, where v goes
   from y_min to y_min + levels - 1. bends[k, v - y_min] is the next v, less y_min, that has not two neighbours as long as itself, and
   some length. No channels: outputs and accumulators count as unrelated. y_first, y_last: where output i saturates. */
typedef struct {
    int n_out, n_in, source, neuron, channels, levels;
    int64_t y_min;
    double heaviest; /* the largest magnitude in the matrix */
    const int32_t *matrix, *indices, *bends;
    const int64_t *indptr, *weights, *bias, *steps, *y_first, *y_last;
} block_t;

typedef struct {
    int num_blocks, num_inputs, num_neurons;
    const block_t *blocks;
} blocks_t;

/* An inequality sum coefficient * value <= bound, each value once. */
typedef struct {
    int size;
    const int64_t *values, *coefficients;
    int64_t bound;
} atom_t;

/* The ranges of one node: those of values, which are inputs and then outputs, and those of accumulators. */
typedef struct {
    int64_t *lo, *hi, *acc_lo, *acc_hi;
} ranges_t;

#endif
