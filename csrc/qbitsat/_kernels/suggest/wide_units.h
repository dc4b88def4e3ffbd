/* Units of layers, for sixteen lanes side by side. A unit is what is computed together: the outputs of a position of patches, or one output of
   lanes or sparse rows. Of a convolution only few units matter to a neuron behind it, and nearly the same ones to its neighbours and in
   other nodes: so lanes share all loads of weights. All inlined into the kernels. */
#ifndef QBITSAT_WIDE_UNITS_H
#define QBITSAT_WIDE_UNITS_H

#include <string.h>

#include "floats.h"
#include "wide.h"

/* Outputs that are computed side by side. */
enum { TILE = 4 };

/* The units of layers. */
typedef struct {
    const floats_t *floats;
    int num_units, most_reads; /* of all layers; the most values that a group of one reads */
    const int *first_unit;     /* num_layers: units of the layers before */
} units_t;

/* The units that matter. */
typedef struct {
    const units_t *all;
    int *cells;                     /* most_reads: values that a unit reads, num_values where it is padding */
    int *units, *counts, *moving;   /* of every layer, from first_unit on, those that matter: first those that move; how many, and of these */
    int *inputs, num_inputs;        /* those that matter */
    lanes_t *marks, *useful;        /* num_values: in which lanes they matter; num_neurons: where multipliers are of use */
    unsigned char *moves;           /* num_neurons: those that matter somewhere with a multiplier of use */
    long cost;                      /* multiply-adds of all that matters, both ways and in all lanes */
} chosen_t;

INLINE long chosen_ints(const units_t *all) {
    return (long)all->most_reads + all->num_units + 2L * all->floats->num_layers + all->floats->num_inputs + 1;
}
INLINE long chosen_marks(const units_t *all) { return 2L * all->floats->num_neurons + all->floats->num_inputs; }

/* Of chosen_ints numbers, chosen_marks marks and num_neurons bytes. */
INLINE chosen_t share_out_chosen(const units_t *all, int *ints, lanes_t *marks, unsigned char *moves) {
    chosen_t w;
    w.all = all;
    w.cells = ints, ints += all->most_reads;
    w.units = ints, ints += all->num_units;
    w.counts = ints, ints += all->floats->num_layers;
    w.moving = ints, ints += all->floats->num_layers;
    w.inputs = ints, w.num_inputs = 0;
    w.marks = marks, w.useful = marks + all->floats->num_neurons + all->floats->num_inputs;
    w.moves = moves, w.cost = 0;
    return w;
}

INLINE int unit_size(const layer_t *map) { return map->kind == LAYER_PATCHES ? map->groups * map->channels : 1; }
INLINE int num_units_of(const layer_t *map) { return map->kind == LAYER_PATCHES ? map->positions : map->n_out; }

/* A unit of a layer that matters, and its first neuron. */
INLINE int unit_at(const chosen_t *w, int l, int at) { return w->units[w->all->first_unit[l] + at]; }
INLINE long first_of(const layer_t *map, int unit) { return map->neuron + (long)unit * unit_size(map); }

/* The values that group g of a unit reads; returns how many. */
INLINE int find_cells(const layer_t *map, int unit, int g, int padding, int *restrict cells) {
    if (map->kind == LAYER_ROWS) {
        const int32_t *indices = map->indices + map->indptr[unit];
        int n = (int)(map->indptr[unit + 1] - map->indptr[unit]);
        for (int k = 0; k < n; k++) cells[k] = map->view[indices[k]] >= 0 ? map->view[indices[k]] : padding;
        return n;
    }
    int p = map->kind == LAYER_LANES ? unit / map->groups : unit, lane = map->kind == LAYER_LANES ? unit % map->groups : g * map->stride;
    const int32_t *view = map->view + map->start[p] + lane;
    for (int k = 0; k < map->taps; k++) cells[k] = view[map->offset[k]] >= 0 ? view[map->offset[k]] : padding;
    return map->taps;
}

/* The weights of a unit of one output, one every `step` numbers. */
INLINE const float *weights_of(const float_layer_t *layer, int unit, int *step) {
    const layer_t *map = layer->map;
    *step = map->kind == LAYER_LANES ? map->groups : 1;
    return layer->rows + (map->kind == LAYER_LANES ? unit % map->groups : map->indptr[unit]);
}

/* What a unit reads matters in these lanes. */
INLINE void mark_unit(const chosen_t *w, const layer_t *map, int unit, lanes_t lanes, int padding) {
    int groups = map->kind == LAYER_PATCHES ? map->groups : 1;
    for (int g = 0; g < groups; g++) {
        int n = find_cells(map, unit, g, padding, w->cells);
        for (int k = 0; k < n; k++)
            if (w->cells[k] != padding) w->marks[w->cells[k]] |= lanes;
    }
}

/* The units that matter to those values that are marked, those that move before those that stand still, which need no accumulators. */
INLINE void choose_units(chosen_t *w) {
    const floats_t *floats = w->all->floats;
    int m = floats->num_inputs, padding = m + floats->num_neurons;
    w->num_inputs = 0, w->cost = 8L * (1 + floats->num_layers + m); /* that much even where nothing matters */
    for (int l = floats->num_layers - 1; l >= 0; l--) {
        const layer_t *map = floats->layers[l].map;
        int size = unit_size(map), *units = w->units + w->all->first_unit[l], moving = 0, still = 0, all = num_units_of(map);
        for (int u = 0; u < all; u++) {
            long first = first_of(map, u);
            lanes_t needed = 0, moves = 0;
            int rows = 0;
            for (long i = first; i < first + size; i++) {
                lanes_t mine = w->marks[m + i] & w->useful[i];
                needed |= w->marks[m + i], moves |= mine;
                rows += w->moves[i] = mine != 0;
            }
            if (!needed) continue;
            if (!moves) {
                units[all - ++still] = u;
                continue;
            }
            units[moving++] = u;
            mark_unit(w, map, u, moves, padding);
            w->cost += map->kind == LAYER_ROWS ? map->indptr[u + 1] - map->indptr[u] : (long)rows * map->taps;
        }
        memmove(units + moving, units + all - still, sizeof(int) * still);
        w->moving[l] = moving, w->counts[l] = moving + still;
        w->cost += (long)size * (moving + still) * 8;
    }
    for (int j = 0; j < m; j++) {
        w->inputs[w->num_inputs] = j;
        w->num_inputs += w->marks[j] != 0;
    }
    w->cost *= 2 * WIDE;
}

/* c of all that matters = 0. */
INLINE void clear_values(const chosen_t *w, wide_t *c) {
    const floats_t *floats = w->all->floats;
    wide_t zero = WIDE_ALL(0);
    for (int j = 0; j < w->num_inputs; j++) c[w->inputs[j]] = zero;
    for (int l = 0; l < floats->num_layers; l++) {
        int size = unit_size(floats->layers[l].map);
        for (int at = 0; at < w->counts[l]; at++) {
            wide_t *mine = c + floats->num_inputs + first_of(floats->layers[l].map, unit_at(w, l, at));
            for (int i = 0; i < size; i++) mine[i] = zero;
        }
    }
}

/* The next of a group's outputs that move, up to TILE, from *channel on; returns how many. */
INLINE int next_tile(const unsigned char *moves, int channels, int *channel, int *tile) {
    int filled = 0, c = *channel;
    for (; c < channels && filled < TILE; c++) {
        tile[filled] = c;
        filled += moves[c];
    }
    *channel = c;
    return filled;
}

/* What multipliers of a unit put on the values that it reads. */
INLINE void put_unit_back(const chosen_t *w, const float_layer_t *layer, int unit, const wide_t *restrict m, wide_t *restrict c, int padding) {
    const layer_t *map = layer->map;
    int *restrict cells = w->cells;
    if (map->kind != LAYER_PATCHES) {
        int step, n = find_cells(map, unit, 0, padding, cells);
        const float *row = weights_of(layer, unit, &step);
        for (int k = 0; k < n; k++) WIDE_GATHER(c[cells[k]], row[(int64_t)k * step], m[0]);
        return;
    }
    int taps = map->taps;
    const unsigned char *moves = w->moves + first_of(map, unit);
    for (int g = 0; g < map->groups; g++, m += map->channels, moves += map->channels) {
        const float *rows = layer->rows + (int64_t)g * map->channels * taps;
        int channel = 0, tile[TILE], filled;
        find_cells(map, unit, g, padding, cells);
        while ((filled = next_tile(moves, map->channels, &channel, tile)) == TILE) {
            const float *restrict p = rows + (int64_t)tile[0] * taps, *restrict q = rows + (int64_t)tile[1] * taps;
            const float *restrict r = rows + (int64_t)tile[2] * taps, *restrict s = rows + (int64_t)tile[3] * taps;
            wide_t a = m[tile[0]], b = m[tile[1]], d = m[tile[2]], e = m[tile[3]];
            for (int k = 0; k < taps; k++) {
                wide_t sum = c[cells[k]];
                WIDE_GATHER(sum, p[k], a);
                WIDE_GATHER(sum, q[k], b);
                WIDE_GATHER(sum, r[k], d);
                WIDE_GATHER(sum, s[k], e);
                c[cells[k]] = sum;
            }
        }
        for (int t = 0; t < filled; t++) {
            const float *restrict p = rows + (int64_t)tile[t] * taps;
            wide_t a = m[tile[t]];
            for (int k = 0; k < taps; k++) WIDE_GATHER(c[cells[k]], p[k], a);
        }
    }
}

/* reached = what a unit's accumulators are, without bias, less `reached` before; of those that move. */
INLINE void take_unit(const chosen_t *w, const float_layer_t *layer, int unit, const wide_t *restrict x, wide_t *restrict reached, int padding) {
    const layer_t *map = layer->map;
    int *restrict cells = w->cells;
    if (map->kind != LAYER_PATCHES) {
        int step, n = find_cells(map, unit, 0, padding, cells);
        const float *row = weights_of(layer, unit, &step);
        wide_t sum = WIDE_SUB(WIDE_ALL(0), reached[0]);
        for (int k = 0; k < n; k++) WIDE_GATHER(sum, row[(int64_t)k * step], x[cells[k]]);
        reached[0] = sum;
        return;
    }
    int taps = map->taps;
    const unsigned char *moves = w->moves + first_of(map, unit);
    for (int g = 0; g < map->groups; g++, reached += map->channels, moves += map->channels) {
        const float *rows = layer->rows + (int64_t)g * map->channels * taps;
        int channel = 0, tile[TILE], filled;
        find_cells(map, unit, g, padding, cells);
        while ((filled = next_tile(moves, map->channels, &channel, tile)) == TILE) {
            const float *restrict p = rows + (int64_t)tile[0] * taps, *restrict q = rows + (int64_t)tile[1] * taps;
            const float *restrict r = rows + (int64_t)tile[2] * taps, *restrict s = rows + (int64_t)tile[3] * taps;
            wide_t zero = WIDE_ALL(0), a = zero, b = zero, d = zero, e = zero;
            for (int k = 0; k < taps; k++) {
                wide_t value = x[cells[k]];
                WIDE_GATHER(a, p[k], value);
                WIDE_GATHER(b, q[k], value);
                WIDE_GATHER(d, r[k], value);
                WIDE_GATHER(e, s[k], value);
            }
            reached[tile[0]] = WIDE_SUB(a, reached[tile[0]]), reached[tile[1]] = WIDE_SUB(b, reached[tile[1]]);
            reached[tile[2]] = WIDE_SUB(d, reached[tile[2]]), reached[tile[3]] = WIDE_SUB(e, reached[tile[3]]);
        }
        for (int t = 0; t < filled; t++) {
            const float *restrict p = rows + (int64_t)tile[t] * taps;
            wide_t sum = WIDE_SUB(WIDE_ALL(0), reached[tile[t]]);
            for (int k = 0; k < taps; k++) WIDE_GATHER(sum, p[k], x[cells[k]]);
            reached[tile[t]] = sum;
        }
    }
}

#endif
