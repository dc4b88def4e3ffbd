/* Local search over inputs: see local.pyx. Integers are exact, scores are floats; nothing here decides. */
#ifndef QBITSAT_LOCAL_H
#define QBITSAT_LOCAL_H

#include "layer.h"

/* Accumulators that share weights' columns: those of one group at one position of a layer, one row of a sparse one. */
typedef struct {
    int layer, neuron, size;
} cluster_t;

/* One reading of a value: `size` accumulators of a cluster get weights[column...] times it. */
typedef struct {
    int cluster;
    int64_t column;
} reading_t;

/* The inputs of one network in C order: planes of height x width x depth. */
typedef struct {
    int first, height, width, depth;
} image_t;

typedef struct {
    const layers_t *layers;
    int num_clusters, num_images, num_free;
    const cluster_t *clusters;     /* layer after layer */
    const int *first_cluster;      /* num_layers + 1 */
    const int64_t *starts;         /* num_values + 1: the readings of each value */
    const reading_t *readings;
    const int32_t *weights;
    const double *length;          /* num_neurons: accumulators for one output unit */
    const int64_t *lo, *hi;        /* num_inputs */
    const int32_t *free;           /* num_free: inputs with lo < hi */
    const int32_t *partner;        /* num_inputs: the next of the inputs that move together, in a ring */
    const int32_t *image_of;       /* num_inputs */
    const image_t *images;
} local_plan_t;

/* Inequalities that all have to hold. */
typedef struct {
    int num_atoms;
    const atom_t *const *atoms;
} local_goal_t;

/* Where a search is. All arrays belong to the caller. */
typedef struct {
    int64_t *values, *acc, *saved; /* num_values; num_neurons each: accumulators, and those before the move */
    int32_t *touched, *counts;     /* num_clusters, of each layer from its first_cluster on; num_layers: how many */
    uint8_t *marks;                /* num_clusters */
    int32_t *changed;              /* most_inputs + num_neurons: values that the move has changed, an input perhaps more than once */
    int64_t *before;               /* what they were */
    int64_t *best_x;               /* num_inputs */
    int32_t *taken;                /* longest inequality */
    int num_changed, most_inputs;  /* a move changes no more inputs than that */
    double score, best, scale;
    uint64_t random[2];
} local_t;

/* Start at values[0..num_inputs), inside the box. */
void local_begin(const local_plan_t *plan, const local_goal_t *goal, local_t *state, uint64_t seed);

/* So many moves at one temperature, in mean changes of the score; 1 as soon as the goal is reached. */
int local_on(const local_plan_t *plan, const local_goal_t *goal, local_t *state, long moves, double temperature);

/* Move to other inputs, as a single move that is kept. */
void local_set(const local_plan_t *plan, const local_goal_t *goal, local_t *state, const int64_t *x);

#endif
