/* What a layer in float32 does with values. All inlined into the kernels. */
#ifndef QBITSAT_FLOAT_LOOPS_H
#define QBITSAT_FLOAT_LOOPS_H

#include "floats.h"
#include "vector.h"

#define NAME(x) float_##x
#define WEIGHT float
#define FACTOR float
#define SUM float
#define WEIGH(w) (w)
#include "layer_loops.h"

/* acc = W values, without bias; of `count` positions. cells, taps: room for those of the layer. */
INLINE void take_at(const float_layer_t *layer, const float *values, float *cells, float *taps, float *acc, const int *places, int count) {
    const layer_t *map = layer->map;
    if (map->run < 0) float_gather(map, values, cells);
    float_apply_at(map, layer->rows, map->run < 0 ? cells : values + map->run, taps, acc, places, count);
}

/* values += m W, of `count` positions; returns what m puts on padding: a constant. */
INLINE float put_back_at(const float_layer_t *layer, const float *m, float *values, float *cells, float *taps, const int *places, int count) {
    float_back_at(layer->map, layer->rows, m, taps, cells, places, count);
    return float_scatter(layer->map, cells, values) * (float)layer->map->padding;
}

/* The same of all positions. */
INLINE void take(const float_layer_t *layer, const float *values, float *cells, float *taps, float *acc) {
    take_at(layer, values, cells, taps, acc, 0, layer->map->positions);
}

INLINE float put_back(const float_layer_t *layer, const float *m, float *values, float *cells, float *taps) {
    return put_back_at(layer, m, values, cells, taps, 0, layer->map->positions);
}

#endif
