#include "forward.h"

#include "interval_loops.h"
#include "step.h"

void forward_point(const layer_t *layer, const int64_t *values, const room_t *room, int64_t *acc) {
    narrow_gather(layer, values, room->narrow_sum);
    narrow_apply(layer, layer->rows, room->narrow_sum, room->narrow_taps, acc);
    for (int i = 0; i < layer->n_out; i++) acc[i] += layer->bias[i];
}

void forward_box(const layer_t *layer, const int64_t *lo, const int64_t *hi, const room_t *room, int64_t *acc_lo, int64_t *acc_hi) {
    accumulate_ranges(layer, lo, hi, room, acc_lo, acc_hi);
}

void forward_requantize(const layer_t *layer, const int64_t *acc, int64_t *y) {
    for (int i = 0; i < layer->n_out; i += layer->num_steps)
        for (int k = 0; k < layer->num_steps; k++) y[i + k] = step_apply(&layer->steps[k], acc[i + k]);
}
