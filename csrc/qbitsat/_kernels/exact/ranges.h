/* What happens to the ranges of a node: see ranges.pyx. */
#ifndef QBITSAT_RANGES_H
#define QBITSAT_RANGES_H

#include "layer.h"

/* What `descend` found of a node: see descent.h. */
typedef struct {
    const float *coefficients, *acc, *y;
} relaxed_t;

enum { RANGES_VERTICES = 6 };

/* Whether each range lies within its output's steps, or nowhere. */
int within_steps(const layers_t *plan, ranges_t node);
/* False if nothing is left. Layers before the first one are passed over; the first itself reads nothing anew unless inputs. */
int propagate(const layers_t *plan, ranges_t node, int inputs, int64_t first, const room_t *room);
/* Cuts the ranges of values that may be cut to what one inequality after the other leaves them; false if one is out of reach. */
int narrow(const atom_t *all, const int32_t *atoms, int num_atoms, const uint8_t *cuttable, ranges_t node);
/* The inequalities that the ranges do not imply, and where among the node's they stand; returns their number. */
int undecided(const atom_t *all, const int32_t *atoms, int num_atoms, ranges_t node, int32_t *open, int32_t *slots);
void vertices(const layers_t *plan, ranges_t node, float *acc, float *y, float *slopes);
/* The value of the neuron to cut, or -1, and the first output above the cut. */
int64_t choose(const layers_t *plan, ranges_t node, relaxed_t point, int64_t *at);

#endif
