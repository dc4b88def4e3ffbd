/* Subgradient descent on the multipliers of one node: see descent.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_DESCENT_H
#define QBITSAT_DESCENT_H

#include "floats.h"

/* What one input puts on the neurons from `neuron` on; `size` is a multiple of LANES, or 0. */
typedef struct {
    int neuron, size;
    const float *weights;
} column_t;

typedef struct {
    const floats_t *floats;
    const unsigned char *by_columns; /* num_layers: layers of one matrix over inputs alone, whose columns stand in for it */
    const column_t *columns;         /* num_inputs */
    const unsigned char *is_last;    /* num_neurons: whether no layer reads a neuron */
    const int *first_place;          /* num_layers: positions of the layers before */
    int any_columns, num_places;     /* num_places: positions of all layers */
    int (*tick)(void *);             /* called with `who` now and then, if not NULL: whether to stop */
    void *who;
} plan_t;

enum { VERTICES = 6, LANES = 16 };

/* What a node hands in and gets back; see `Descent.run`. All arrays belong to the caller. */
typedef struct {
    int num_atoms;
    const inequality_t *const *atoms;
    const float *x_lo, *x_hi;              /* num_inputs */
    const float *vertex_acc, *vertex_y;    /* VERTICES x num_neurons */
    const float *slopes;                   /* num_neurons: y over acc between the ends of a range; below 0 for one of no use */
    int anchor;                            /* a neuron whose multiplier stays: it sets the scale where no inequality does; or -1 */
    int cold;                             /* start from the slopes, not from `multipliers` */
    float *multipliers, *shares;           /* num_neurons, num_atoms: start, then the best found */
    float *coefficients;                   /* num_values: those of the best */
    float *x_best;
    float *x_mean, *acc_mean, *y_mean;
} node_t;

/* The smallest dual value found in at most `steps` steps and then `polish` smaller ones; stops at the first value below 0.
   `work` has floats_needed() floats. `taken` becomes the number of steps, or -1 if a tick said stop: then nothing else is of use. */
float descend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken);
long floats_needed(const plan_t *plan, int num_atoms);

#endif
