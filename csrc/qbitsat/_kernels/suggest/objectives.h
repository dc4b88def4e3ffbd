/* Multipliers for upper bounds of many linear objectives over the same ranges: see objectives.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_OBJECTIVES_H
#define QBITSAT_OBJECTIVES_H

#include "descent.h"
#include "wide_units.h"

/* What all objectives share. */
typedef struct {
    const units_t *units;
    const float *x_lo, *x_hi;            /* num_inputs */
    const float *vertex_acc, *vertex_y;  /* VERTICES x num_neurons */
    const float *slopes;                 /* num_neurons: y over acc between the ends of a range; below 0 for one of no use */
    int (*tick)(void *);                 /* called with `who` now and then, if not NULL: whether to stop */
    void *who;
} common_t;

/* Up to WIDE objectives: sum of coefficient * value each. */
typedef struct {
    int count;
    const inequality_t *all; /* bounds are of no use */
    float *bounds;           /* count: the smallest upper bounds found */
    float *const *multipliers; /* count rows of num_neurons, zeros at first: those of the bounds */
} bundle_t;

/* At most `steps` steps for all of a bundle. `work` has wides_needed() of them; of what is chosen nothing is marked at first nor at the end.
   Returns whether a tick said stop. */
typedef int descend_together_t(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, chosen_t *chosen);
WIDE_FUNCTION(descend_together);
descend_together_t descend_together;
long wides_needed(const units_t *units);

#endif
