/* Subgradient ascent on the multipliers of one node: see ascent.pyx. Floats; nothing here decides. */
#ifndef QBITSAT_ASCENT_H
#define QBITSAT_ASCENT_H

/* One layer. Its matrix is n_out x n_in by rows; for layers that read inputs, `column_t` stands in for it. */
typedef struct {
    int n_out, n_in, source, neuron, reads_inputs;
    const float *matrix, *bias;
} layer_t;

/* What one input puts on the neurons from `neuron` on; `size` is a multiple of LANES. */
typedef struct {
    int neuron, size;
    const float *weights;
} column_t;

/* An inequality sum coefficient * value <= bound. */
typedef struct {
    int size;
    const int *values;
    const float *coefficients;
    float bound;
} atom_t;

typedef struct {
    int num_layers, num_inputs, num_neurons;
    const layer_t *layers;
    const column_t *columns;      /* num_inputs */
    const unsigned char *is_last; /* num_neurons: whether no layer reads a neuron */
    long weights;                 /* of all layers */
    int (*tick)(void *);          /* called with `who` now and then, if not NULL: whether to stop */
    void *who;
} plan_t;

enum { CORNERS = 6, LANES = 16 };

/* What a node hands in and gets back; see `Ascent.run`. All arrays belong to the caller. */
typedef struct {
    int num_atoms;
    const atom_t *const *atoms;
    const float *x_lo, *x_hi;              /* num_inputs */
    const float *corner_acc, *corner_y;    /* CORNERS x num_neurons */
    const float *slopes;                   /* num_neurons: y over acc between the ends of a range; below 0 for one of no use */
    int held;                              /* a neuron whose multiplier stays: it sets the scale where no inequality does; or -1 */
    int fresh;                             /* start from the slopes, not from `multipliers` */
    float *multipliers, *shares;           /* num_neurons, num_atoms: start, then the best found */
    float *coefficients;                   /* num_values: those of the best */
    float *x_best, *x_mean, *acc_mean, *y_mean;
} node_t;

/* The smallest dual value found in at most `steps` steps and then `polish` smaller ones; stops at the first value below 0.
   `work` has floats_needed() floats. `taken` becomes the number of steps, or -1 if a tick said stop: then nothing else is of use. */
float ascend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken);
long floats_needed(const plan_t *plan, int num_atoms);

/* result[b, i] = x[b] . matrix[i] */
void products(const float *x, const float *matrix, float *result, long batch, int n_out, int n_in);
/* result[b, j] = sum over i of y[b, i] matrix[i, j] */
void products_back(const float *y, const float *matrix, float *result, long batch, int n_out, int n_in);

#endif
