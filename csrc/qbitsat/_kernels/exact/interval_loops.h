/* Sums of integers over the cells of a layer, and their ranges. */
#ifndef QBITSAT_INTERVAL_LOOPS_H
#define QBITSAT_INTERVAL_LOOPS_H

#include "layer.h"
#include "vector.h"

/* Cells of 32 bits let vector instructions multiply into 64. */
#define NAME(x) narrow_##x
#define WEIGHT int32_t
#define FACTOR int32_t
#define SUM int64_t
#define WEIGH(w) (w)
#include "layer_loops.h"

#define NAME(x) narrow_size_##x
#define WEIGHT int32_t
#define FACTOR int32_t
#define SUM int64_t
#define WEIGH(w) ((w) < 0 ? -(w) : (w))
#include "layer_loops.h"

#define NAME(x) wide_##x
#define WEIGHT int32_t
#define FACTOR int64_t
#define SUM int64_t
#define WEIGH(w) (w)
#include "layer_loops.h"

#define NAME(x) wide_size_##x
#define WEIGHT int32_t
#define FACTOR int64_t
#define SUM int64_t
#define WEIGH(w) ((w) < 0 ? -(w) : (w))
#include "layer_loops.h"

/* Sums and widths of the cells' ranges; whether all fit into 32 bits, where they stand then as well. */
UNUSED static int gather_ranges(const layer_t *layer, const int64_t *lo, const int64_t *hi, const room_t *room) {
    int fit = 1;
    for (int j = 0; j < layer->n_in; j++) {
        int v = layer->run >= 0 ? layer->run + j : layer->view[j];
        int64_t sum = v >= 0 ? lo[v] + hi[v] : 2 * layer->padding, width = v >= 0 ? hi[v] - lo[v] : 0;
        room->sum[j] = sum, room->width[j] = width;
        room->narrow_sum[j] = (int32_t)sum, room->narrow_width[j] = (int32_t)width;
        fit &= room->narrow_sum[j] == sum && room->narrow_width[j] == width;
    }
    return fit;
}

/* The range of every accumulator over those of values: 2 * acc = 2 * bias + W (lo + hi) -+ |W| (hi - lo). Twice an accumulator stays
   inside int64. */
UNUSED static void accumulate_ranges(const layer_t *layer, const int64_t *lo, const int64_t *hi, const room_t *room, int64_t *acc_lo,
                              int64_t *acc_hi) {
    if (gather_ranges(layer, lo, hi, room)) {
        narrow_apply(layer, layer->rows, room->narrow_sum, room->narrow_taps, acc_lo);
        narrow_size_apply(layer, layer->rows, room->narrow_width, room->narrow_taps, acc_hi);
    } else {
        wide_apply(layer, layer->rows, room->sum, room->taps, acc_lo);
        wide_size_apply(layer, layer->rows, room->width, room->taps, acc_hi);
    }
    for (int i = 0; i < layer->n_out; i++) {
        int64_t middle = acc_lo[i], reach = acc_hi[i];
        acc_lo[i] = layer->bias[i] + (middle - reach) / 2;
        acc_hi[i] = layer->bias[i] + (middle + reach) / 2;
    }
}

#endif
