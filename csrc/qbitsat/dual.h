/* Exact integer loops of _dual.pyx. */
#ifndef QBITSAT_DUAL_H
#define QBITSAT_DUAL_H

#include <stdint.h>

/* One layer: matrix n_out x n_in by rows, over values from `source` on; its outputs are neurons from `neuron` on, in order.

   Output i, of channel k = i % channels, is v for accumulators from steps[k, v - y_min] to steps[k, v - y_min + 1] - 1, where v goes
   from y_min to y_min + levels - 1. bends[k, v - y_min] is the next v, less y_min, that has not two neighbours as long as itself, and
   some length. No channels: outputs and accumulators count as unrelated. */
typedef struct {
    int n_out, n_in, source, neuron, channels, levels;
    int64_t y_min;
    double heaviest; /* the largest magnitude in the matrix */
    const int32_t *matrix, *bends;
    const int64_t *bias, *steps;
} dual_layer_t;

/* An inequality sum coefficient * value <= bound. */
typedef struct {
    int size;
    const int64_t *values, *coefficients;
    int64_t bound;
} dual_atom_t;

typedef struct {
    int num_layers, num_inputs, num_neurons;
    const dual_layer_t *layers;
    const dual_atom_t *atoms;
} dual_plan_t;

typedef struct {
    const int64_t *lo, *hi, *acc_lo, *acc_hi; /* of values and of neurons */
    int num_atoms;
    const int32_t *atoms;
    const float *shares, *multipliers;         /* num_atoms, num_neurons */
    int64_t *whole_shares, *whole_multipliers; /* the same, as integers */
    double *weights;                           /* room for num_neurons */
    int64_t *coefficients;                     /* room for all values */
} dual_node_t;

/* What became of a node: nothing, since its floats are no finite numbers or too large; its bound; no point is left in its ranges; its
   integers are set but sums could leave int64; its ranges leave the steps. */
enum { DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW, DUAL_FAULT };

int dual_bound(const dual_plan_t *plan, const dual_node_t *node, int64_t *bound);

#endif
