/* Exact integer loops of dual.pyx. */
#ifndef QBITSAT_DUAL_H
#define QBITSAT_DUAL_H

#include "layer.h"

typedef struct {
    ranges_t ranges;
    int num_atoms;
    const atom_t *all; /* inequalities, of which `atoms` says the node's */
    const int32_t *atoms;
    const float *shares, *multipliers;         /* num_atoms, num_neurons */
    int64_t *whole_shares, *whole_multipliers; /* the same, as integers */
    double *weights, *magnitudes;              /* room for num_neurons, most_cells */
    int weighed, possible;                     /* what dual_weigh has said of the ranges: whether weights are theirs, and no output is empty */
    int64_t *coefficients;                     /* room for all values */
    const room_t *room;
} dual_node_t;

/* What became of a node: nothing, since its floats are no finite numbers or too large; its bound; no point is left in its ranges; its
   integers are set but sums could leave int64; its ranges leave the steps. */
enum { DUAL_NOTHING, DUAL_BOUND, DUAL_EMPTY, DUAL_OVERFLOW, DUAL_FAULT };

/* Weights for all nodes of the same ranges, whatever their multipliers. */
void dual_weigh(const layers_t *plan, dual_node_t *node);
int dual_bound(const layers_t *plan, const dual_node_t *node, int64_t *bound);

/* A value within [lo, hi], and by how much its term of D is larger in the node; layer: whose output it is, -1 of an input. */
typedef struct {
    int32_t value, layer;
    int64_t lo, hi, growth;
} need_t;

/* What multipliers need of smaller ranges lo and hi of values, largest growth first, so that with all else as in the node D is below 0: `bound` is that of the node, as
   dual_bound left it. -1 where they would not do with all of it, or need more than `most`. needs: room for all values. */
int dual_explain(const layers_t *plan, const dual_node_t *node, int64_t bound, const int64_t *lo, const int64_t *hi, int most,
                 need_t *needs);

#endif
