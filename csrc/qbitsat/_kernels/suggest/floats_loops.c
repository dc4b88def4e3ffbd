#include "floats.h"

#include "floats_loops.h"

EVERY_TARGET
void apply(const floats_t *map, const float *values, long width, float *acc, long batch, float *work) {
    for (long b = 0; b < batch; b++) apply_floats(map, gather(map, values + b * width, work), acc + b * map->n_out, work + map->n_in);
}

EVERY_TARGET
void back(const floats_t *map, const float *m, float *values, long width, long batch, float *work) {
    for (long b = 0; b < batch; b++) pass_back(map, m + b * map->n_out, values + b * width, work, work + map->n_in);
}
