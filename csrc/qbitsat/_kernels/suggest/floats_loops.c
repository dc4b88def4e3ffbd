#include "floats.h"

#include "float_loops.h"

void floats_apply(const float_layer_t *layer, const float *values, long width, float *acc, long batch, float *work) {
    for (long b = 0; b < batch; b++) take(layer, values + b * width, work, work + layer->map->n_in, acc + b * layer->map->n_out);
}

void floats_back(const float_layer_t *layer, const float *m, float *values, long width, long batch, float *work) {
    for (long b = 0; b < batch; b++) put_back(layer, m + b * layer->map->n_out, values + b * width, work, work + layer->map->n_in);
}
