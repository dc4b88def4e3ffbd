/* Multipliers for upper bounds of many linear objectives over the same ranges: see objectives.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_OBJECTIVES_H
#define QBITSAT_OBJECTIVES_H

#include "descent.h"
#include "wide.h"

/* What all objectives share. */
typedef struct {
    const floats_t *floats;
    const float *x_lo, *x_hi;            /* num_inputs */
    const float *vertex_acc, *vertex_y;  /* VERTICES x num_neurons */
    const float *slopes;                 /* num_neurons: y over acc between the ends of a range; below 0 for one of no use */
    int num_units, most_reads;           /* of all layers, see objectives_loops.c; the most values that one reads */
    const int *first_unit;               /* num_layers + 1: units of the layers before */
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

/* At most `steps` steps for all of a bundle. `work` has wides_needed() of them, `marks` marks_needed() bytes, both zeros at first and again
   at the end. Returns whether a tick said stop. */
int descend_together(const common_t *common, const bundle_t *bundle, int steps, float rate, float decay, wide_t *work, int *places, unsigned char *marks);
long wides_needed(const common_t *common);
long places_needed(const common_t *common);
long marks_needed(const common_t *common);

#endif
