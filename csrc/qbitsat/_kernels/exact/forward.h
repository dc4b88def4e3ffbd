/* Accumulators of one layer: see forward.pyx. */
#ifndef QBITSAT_FORWARD_H
#define QBITSAT_FORWARD_H

#include "layer.h"

/* Of values that fit into 32 bits. */
void forward_point(const layer_t *layer, const int64_t *values, const room_t *room, int64_t *acc);
/* The smallest and the largest of values from lo to hi. */
void forward_box(const layer_t *layer, const int64_t *lo, const int64_t *hi, const room_t *room, int64_t *acc_lo, int64_t *acc_hi);

/* Outputs of accumulators, all of which have steps. */
void forward_requantize(const layer_t *layer, const int64_t *acc, int64_t *y);

#endif
