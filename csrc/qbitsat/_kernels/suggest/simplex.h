/* A dual simplex method on the multipliers of one node: see simplex.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_SIMPLEX_H
#define QBITSAT_SIMPLEX_H

#include "descent.h"

/* The dual value has a breakpoint where a linear form of multipliers and shares is 0. With c what later layers and inequalities put on a value, and m
   the multiplier of a neuron, the forms are
       INPUT   c of an input             SLOPE   sigma c - m of a neuron       CENTER  c of a neuron
       SHARE   less an inequality's share     SCALE   what sets the scale: the sum of shares, or the normalization */
enum { INPUT, SLOPE, CENTER, SHARE, SCALE };

typedef struct {
    double sigma;
    int kind, index;
} form_t;

/* Of the layers only active neurons, which are those that may have a multiplier, say something; each has a slot. columns: what every value puts
   on active neurons: their slots from `neuron` on, unpadded. slot: a neuron's, or -1. is_read: whether some active neuron reads a neuron.
   is_named: whether an inequality names a value. unit: what accumulators are multiplied by, about one output step's share of one; columns,
   constant and reached are in units. constant: accumulators where all values are 0. reached: what x_lo, the lower ends of the root, adds. */
typedef struct {
    const floats_t *floats;
    int num_inputs, num_neurons, num_active;
    const column_t *columns;
    const int *slot, *active, *is_read, *is_named;
    const double *constant, *reached, *unit;
    const float *x_lo;
} program_t;

/* Where a node's search starts, and where it ends: forms that are 0, and for each the direction that changes it alone, by rows. */
typedef struct {
    int size, num_atoms, updates;
    form_t *forms;   /* size */
    double *inverse; /* size x size */
} basis_t;

/* All arrays belong to the caller; values are float, multipliers double. */
typedef struct {
    double *q, *x, *norm, *direction, *entering, *pivot;          /* size */
    double *c, *c_rate, *m, *m_rate, *ref_acc, *ref_y, *width;    /* num_neurons */
    double *vertex_acc, *vertex_y;                                /* VERTICES x num_neurons */
    double *share;                                                /* inequalities of a node */
    float *v, *rate, *way;                                        /* num_inputs; way: to where it can change sides, 1, -1, or 0 */
    float *sums;                                                  /* size */
    float *tau, *first;                                           /* breakpoints, up to a multiple of LANES, and of each block of these */
    int *input_slot, *slope_slot, *center_slot, *ray;             /* num_inputs, then num_neurons each */
    int *high;                                                    /* num_inputs: at the upper end */
    int *stalls;                                                  /* size */
    double *spare;                                                /* size x size */
    float *factors, *cells, *taps;                                /* room for one layer: n_out, n_in, taps */
    double *wide_factors, *wide_cells, *wide_taps;
} simplex_t;

/* At most `limit` exchanges to the smallest dual value; stops at a first one below 0. normalization: without inequalities D is homogeneous, and
   multipliers are scaled to normalization . m = 1. Writes multipliers, shares, coefficients and the point to the node. Returns the value;
   INFINITY on failure. A dual simplex method with steepest edge pricing, a long-step (bound flipping) ratio test and an explicit inverse. */
double solve(const program_t *program, const node_t *node, basis_t *basis, simplex_t *work, const double *normalization, int limit, int *taken);

#endif
