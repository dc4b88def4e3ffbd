/* Layers in float32, for what only suggests: see floats.pyx. */
#ifndef QBITSAT_FLOATS_H
#define QBITSAT_FLOATS_H

#include "layer.h"

typedef struct {
    const layer_t *map;
    const float *rows, *bias; /* laid out as map->rows; n_out */
    int reads_neurons;
} float_layer_t;

typedef struct {
    int num_layers, num_inputs, num_neurons, most_cells, most_taps;
    const float_layer_t *layers;
} floats_t;

/* An inequality sum coefficient * value <= bound. */
typedef struct {
    int size;
    const int *values;
    const float *coefficients;
    float bound;
} inequality_t;

/* For rows of `width` values; `work` has room for cells and taps. */
void floats_apply(const float_layer_t *layer, const float *values, long width, float *acc, long batch, float *work);
void floats_back(const float_layer_t *layer, const float *m, float *values, long width, long batch, float *work);

#endif
