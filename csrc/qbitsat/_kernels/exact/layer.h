/* The layers of a query as kernels see them: see layers.pyx. */
#ifndef QBITSAT_LAYER_H
#define QBITSAT_LAYER_H

#include <stdint.h>

/* Beyond these accumulators there is nothing: "no smallest" and "no largest". */
#define NOWHERE ((int64_t)1 << 61)

enum { STEP_NONE, STEP_TABLE, STEP_SHIFT, STEP_POINTS };
/* As `arithmetic.ROUNDINGS`. */
enum { ROUND_FLOOR, ROUND_TOWARD_ZERO, ROUND_HALF_UP, ROUND_HALF_AWAY, ROUND_HALF_EVEN };

/* How an accumulator becomes an output y from lo to hi, never falling; see step.h for what one asks of it.

   NONE    outputs do not grow with accumulators, or have too many levels: the two count as unrelated
   TABLE   y for accumulators from table[y - lo] to table[y - lo + 1] - 1; the first begins at -NOWHERE, the last but one ends at NOWHERE.
           breakpoints[y - lo]: index of the next level whose step is empty or differs in length from a neighbour's; between two of
           them thresholds are linear. full: no step is empty. inverse: outputs over accumulators, about
   SHIFT   y = clamp(round(acc / 2**shift) + offset, lo, hi)
   POINTS  y = table[acc - first] for `count` accumulators, and as at the ends beyond them */
typedef struct {
    int kind, shift, rounding, count, full;
    int64_t lo, hi, offset, first;
    double inverse;
    const int64_t *table;
    const int32_t *breakpoints;
} step_t;

enum { LAYER_PATCHES, LAYER_LANES, LAYER_ROWS };

/* One layer: n_out accumulators of n_in cells, acc = W cells + bias. Its outputs are the neurons from `neuron` on.

   Cell j is value view[j], or where that is -1 the number `padding`. run: if all cells are consecutive values, the first of these; else -1.

   PATCHES and LANES: accumulator (p * groups + g) * channels + c = bias + sum over k of w * cells[start[p] + g * stride + offset[k]], where w is
       PATCHES  rows[(g * channels + c) * taps + k]; adjacent: offset[k] is offset[0] + k
       LANES    rows[k * groups + g], with one channel and stride 1: groups lie side by side
   ROWS: accumulator i is over indices and rows from indptr[i] to indptr[i + 1].

   Output i has steps[i % num_steps]; none at all for who needs none. */
typedef struct {
    int kind, n_in, n_out, neuron;
    int run, reads_inputs, reads_neurons;
    int64_t padding;
    const int32_t *view;
    int positions, groups, channels, taps, stride, adjacent;
    const int32_t *start, *offset;
    const int64_t *indptr;
    const int32_t *indices;
    const int32_t *rows;
    int64_t num_rows; /* entries of rows */
    const int64_t *bias;
    double max_weight; /* the largest magnitude in rows */
    int num_steps;
    const step_t *steps;
} layer_t;

/* Two neurons a and b and their differences: acc_a - acc_b is the output of neuron e, or where that is -1 a number from e_lo to e_hi, and
   y_a - y_b is the output of neuron d. */
typedef struct {
    int a, b, e, d;
    int64_t e_lo, e_hi;
    const step_t *step_a, *step_b;
} pair_t;

/* Values are the inputs, then the neurons. most_* are the largest n_in, n_out and taps of any layer. Pairs stand in the order of their d,
   each behind its other neurons. */
typedef struct {
    int num_layers, num_inputs, num_neurons, most_cells, most_outputs, most_taps, num_pairs;
    const layer_t *layers;
    const pair_t *pairs;
} layers_t;

/* Room for what goes through one layer: two numbers for each cell, one for each tap, two for each output. */
typedef struct {
    int64_t *sum, *width, *taps, *low, *high;
    int32_t *narrow_sum, *narrow_width, *narrow_taps, *narrow_outputs;
} room_t;

/* An inequality sum coefficient * value <= bound, each value once. */
typedef struct {
    int size;
    const int64_t *values, *coefficients;
    int64_t bound;
} atom_t;

/* The ranges of one node: those of values, and those of accumulators. */
typedef struct {
    int64_t *lo, *hi, *acc_lo, *acc_hi;
} ranges_t;

#endif
