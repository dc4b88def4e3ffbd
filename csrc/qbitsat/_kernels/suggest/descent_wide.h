/* Subgradient descents on the multipliers of many nodes, sixteen side by side: see descent.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_DESCENT_WIDE_H
#define QBITSAT_DESCENT_WIDE_H

#include "descent.h"
#include "wide_units.h"

/* Many nodes, as those of `descend`. */
typedef struct {
    const units_t *units;
    const unsigned char *is_last; /* num_neurons: whether no layer reads a neuron */
    const node_t *all;
    float *values;                /* count: the smallest dual values found */
    int count, most_atoms;        /* most_atoms: the most that one has */
    int steps, polish;
    float rate, decay;
    int (*tick)(void *);          /* called with `who` now and then, if not NULL: whether to stop */
    void *who;
} nodes_t;

/* What `descend` does with each of them. Room: flock_wides() of them, flock_floats() numbers, a slot for each neuron, and what is chosen;
   all zeros at first. `vertices` has place for those of all neurons, sixteen of each. Returns the number of steps, or -1 if a tick said stop. */
typedef int descend_all_t(const nodes_t *nodes, wide_t *wides, wide_t *vertices, float *floats, int *slots, chosen_t *chosen);
WIDE_FUNCTION(descend_all);
descend_all_t descend_all;
long flock_wides(const units_t *units);
long flock_floats(int most_atoms);

#endif
