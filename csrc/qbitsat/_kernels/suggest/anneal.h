/* Annealing over the outputs of the layers that read inputs: see anneal.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_ANNEAL_H
#define QBITSAT_ANNEAL_H

#include "floats.h"

/* The requantizer of one neuron: steps[k] is the smallest accumulator that gives output y_min + k, for k from 1 to last;
   about begin + (k - base) * length. */
typedef struct {
    const float *steps;
    int last, base;
    float begin, length, y_min;
} steps_t;

/* An inequality sum coefficient * output <= bound over neurons. */
typedef struct {
    int size;
    const int *neurons;
    const float *coefficients;
    float bound;
} target_t;

/* Rows are sums of inputs: the accumulators of the num_levels neurons that read inputs, then fences, which are the inequalities over inputs;
   stride is their number up to a multiple of LANES. */
typedef struct {
    int num_inputs, num_levels, num_rows, stride, num_neurons, num_later, num_open, longest;
    const float *columns;   /* num_inputs x stride: what one input puts on the rows */
    const float *matrix;    /* num_rows x num_inputs */
    const float *bias, *square, *clearance; /* num_rows; square: mean square weight; clearance: how far from the ends of steps */
    const int *neuron, *lowest, *highest; /* num_levels: the neuron, and the levels that it may have */
    const int *open;        /* num_open rows with more than one level */
    const float *x_lo, *x_hi;
    const steps_t *steps;   /* num_neurons */
    const floats_t *floats;
    const int *later;       /* num_later layers that read no inputs, in order: all but those of the levels */
    float tolerance;        /* a sum of squares that counts as none */
} anneal_plan_t;

/* What to reach: all inequalities; on the way there, these accumulators go to their ranges. */
typedef struct {
    int num_targets, num_ranges;
    const target_t *const *targets;
    const int *neurons;
    const float *lo, *hi;
    const float *fences; /* num_rows - num_levels: what the fences must not exceed */
} goal_t;

/* Where a walk is. All arrays belong to the caller. */
typedef struct {
    float *x, *rounded, *saved_x, *slope, *gain;            /* num_inputs */
    int *listed;                                          /* num_inputs */
    float *acc, *least, *most, *violation, *saved_acc, *old; /* stride */
    int *level;                                           /* stride */
    float *y, *sum;                                       /* num_neurons; y stands right behind x: values as layers read them */
    float *cells, *taps;                                  /* room for one layer */
    int *reached, *taken;                                 /* num_neurons; longest */
    float score, best, scale;
    uint64_t random[2];
} anneal_t;

enum { ROW_LANES = 16, LINKED = 3 };

/* Start at state->x, inside the box. */
void anneal_begin(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, uint64_t seed);

/* So many moves at one temperature; 1 as soon as state->rounded are whole inputs that reach the goal. */
int anneal_on(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, long moves, float temperature);

/* How far the outputs behind these levels of the rows are from the goal, in output steps; 0: there. The walk has to begin anew after it. */
float anneal_score(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, const int *levels);

#endif
