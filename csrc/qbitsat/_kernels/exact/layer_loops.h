/* The only loops that see how the weights of a layer repeat. Each inclusion makes them for one kind of numbers:

       NAME(x)  their names
       WEIGHT   weights, in the layout of layer_t.rows: int32_t, or float copies of them
       FACTOR   what is multiplied with weights: cells or multipliers
       SUM      sums of products, and values
       WEIGH    what counts of a weight in `apply`: w, or its magnitude

   Whoever includes this has included layer.h and vector.h, and sees to it that cells and multipliers fit into FACTOR and sums into SUM. */

/* cells[j] of the layer, from all values. */
INLINE void NAME(gather)(const layer_t *layer, const SUM *restrict values, FACTOR *restrict cells) {
    if (layer->run >= 0) {
        for (int j = 0; j < layer->n_in; j++) cells[j] = (FACTOR)values[layer->run + j];
        return;
    }
    for (int j = 0; j < layer->n_in; j++) {
        int v = layer->view[j];
        cells[j] = v >= 0 ? (FACTOR)values[v] : (FACTOR)layer->padding;
    }
}

/* The cells that group g of position p reads, one for each tap; `room` has place for them. */
INLINE const FACTOR *NAME(patch)(const layer_t *layer, int p, int g, const FACTOR *cells, FACTOR *restrict room) {
    const FACTOR *first = cells + layer->start[p] + (int64_t)g * layer->stride;
    if (layer->adjacent) return first + layer->offset[0];
    for (int k = 0; k < layer->taps; k++) room[k] = first[layer->offset[k]];
    return room;
}

/* acc[c] = rows[c] . x, four rows at a time. */
INLINE void NAME(dots)(const WEIGHT *restrict rows, const FACTOR *restrict x, int channels, int taps, SUM *restrict acc) {
    int c = 0;
    for (; c + 4 <= channels; c += 4, rows += 4 * (int64_t)taps) {
        const WEIGHT *restrict second = rows + taps, *restrict third = second + taps, *restrict fourth = third + taps;
        SUM s = 0, t = 0, u = 0, v = 0;
        for (int k = 0; k < taps; k++) {
            s += (SUM)WEIGH(rows[k]) * x[k], t += (SUM)WEIGH(second[k]) * x[k];
            u += (SUM)WEIGH(third[k]) * x[k], v += (SUM)WEIGH(fourth[k]) * x[k];
        }
        acc[c] = s, acc[c + 1] = t, acc[c + 2] = u, acc[c + 3] = v;
    }
    for (; c < channels; c++, rows += taps) {
        SUM s = 0;
        for (int k = 0; k < taps; k++) s += (SUM)WEIGH(rows[k]) * x[k];
        acc[c] = s;
    }
}

/* acc = W cells, of what counts of W, without bias; of `count` positions, or all if places is NULL. room: most_taps numbers. */
INLINE void NAME(apply_at)(const layer_t *layer, const WEIGHT *restrict rows, const FACTOR *restrict cells, FACTOR *restrict room,
                           SUM *restrict acc, const int *places, int count) {
    int groups = layer->groups, channels = layer->channels, taps = layer->taps;
    if (layer->kind == LAYER_ROWS) {
        for (int i = 0; count && i < layer->n_out; i++) {
            SUM sum = 0;
            for (int64_t k = layer->indptr[i]; k < layer->indptr[i + 1]; k++) sum += (SUM)WEIGH(rows[k]) * cells[layer->indices[k]];
            acc[i] = sum;
        }
        return;
    }
    for (int at = 0; at < count; at++) {
        int p = places ? places[at] : at;
        if (layer->kind == LAYER_LANES) {
            SUM *restrict sums = acc + (int64_t)p * groups;
            for (int g = 0; g < groups; g++) sums[g] = 0;
            for (int k = 0; k < taps; k++) {
                const FACTOR *restrict x = cells + layer->start[p] + layer->offset[k];
                const WEIGHT *restrict w = rows + (int64_t)k * groups;
                for (int g = 0; g < groups; g++) sums[g] += (SUM)WEIGH(w[g]) * x[g];
            }
            continue;
        }
        for (int g = 0; g < groups; g++) {
            const FACTOR *x = NAME(patch)(layer, p, g, cells, room);
            NAME(dots)(rows + (int64_t)g * channels * taps, x, channels, taps, acc + ((int64_t)p * groups + g) * channels);
        }
    }
}

EVERY_TARGET
UNUSED static void NAME(apply)(const layer_t *layer, const WEIGHT *restrict rows, const FACTOR *restrict cells, FACTOR *restrict room,
                               SUM *restrict acc) {
    NAME(apply_at)(layer, rows, cells, room, acc, 0, layer->positions);
}

/* sums[k] += multipliers . rows[k], four rows at a time and those of multiplier 0 left out. */
INLINE void NAME(add_rows)(const WEIGHT *rows, const FACTOR *multipliers, int channels, int taps, SUM *restrict sums) {
    const WEIGHT *taken[4];
    FACTOR m[4];
    int filled = 0;
    for (int c = 0; c < channels; c++) {
        if (multipliers[c] != 0) taken[filled] = rows + (int64_t)c * taps, m[filled++] = multipliers[c];
        if (!filled || (filled < 4 && c + 1 < channels)) continue;
        for (; filled < 4; filled++) taken[filled] = taken[0], m[filled] = 0;
        const WEIGHT *restrict s = taken[0], *restrict t = taken[1], *restrict u = taken[2], *restrict v = taken[3];
        FACTOR a = m[0], b = m[1], d = m[2], e = m[3];
        for (int k = 0; k < taps; k++) sums[k] += ((SUM)a * s[k] + (SUM)b * t[k]) + ((SUM)d * u[k] + (SUM)e * v[k]);
        filled = 0;
    }
}

/* Whether some multiplier is not 0: those of most positions are, where one neuron behind a convolution is looked at. */
INLINE int NAME(some)(const FACTOR *restrict multipliers, int n) {
    int found = 0;
    for (int i = 0; i < n; i++) found |= multipliers[i] != 0;
    return found;
}

/* cells = multipliers . W, what multipliers of accumulators put on cells; of `count` positions, or all if places is NULL. room: most_taps
   numbers. */
INLINE void NAME(back_at)(const layer_t *layer, const WEIGHT *restrict rows, const FACTOR *restrict multipliers, SUM *restrict room,
                          SUM *restrict cells, const int *places, int count) {
    int groups = layer->groups, channels = layer->channels, taps = layer->taps;
    for (int j = 0; j < layer->n_in; j++) cells[j] = 0;
    if (layer->kind == LAYER_ROWS) {
        for (int i = 0; count && i < layer->n_out; i++)
            for (int64_t k = layer->indptr[i]; multipliers[i] != 0 && k < layer->indptr[i + 1]; k++)
                cells[layer->indices[k]] += (SUM)multipliers[i] * rows[k];
        return;
    }
    for (int at = 0; at < count; at++) {
        int p = places ? places[at] : at;
        if (layer->kind == LAYER_LANES) {
            const FACTOR *restrict m = multipliers + (int64_t)p * groups;
            if (!NAME(some)(m, groups)) continue;
            for (int k = 0; k < taps; k++) {
                SUM *restrict x = cells + layer->start[p] + layer->offset[k];
                const WEIGHT *restrict w = rows + (int64_t)k * groups;
                for (int g = 0; g < groups; g++) x[g] += (SUM)w[g] * m[g];
            }
            continue;
        }
        for (int g = 0; g < groups; g++) {
            const WEIGHT *mine = rows + (int64_t)g * channels * taps;
            const FACTOR *m = multipliers + ((int64_t)p * groups + g) * channels;
            SUM *first = cells + layer->start[p] + (int64_t)g * layer->stride;
            if (!NAME(some)(m, channels)) continue;
            if (layer->adjacent) {
                NAME(add_rows)(mine, m, channels, taps, first + layer->offset[0]);
                continue;
            }
            for (int k = 0; k < taps; k++) room[k] = 0;
            NAME(add_rows)(mine, m, channels, taps, room);
            for (int k = 0; k < taps; k++) first[layer->offset[k]] += room[k];
        }
    }
}

EVERY_TARGET
UNUSED static void NAME(back)(const layer_t *layer, const WEIGHT *restrict rows, const FACTOR *restrict multipliers, SUM *restrict room,
                              SUM *restrict cells) {
    NAME(back_at)(layer, rows, multipliers, room, cells, 0, layer->positions);
}

/* values += cells, each where its value is; returns the sum of those that are padding. */
INLINE SUM NAME(scatter)(const layer_t *layer, const SUM *restrict cells, SUM *restrict values) {
    SUM padding = 0;
    if (layer->run >= 0) {
        for (int j = 0; j < layer->n_in; j++) values[layer->run + j] += cells[j];
        return padding;
    }
    for (int j = 0; j < layer->n_in; j++) {
        int v = layer->view[j];
        if (v >= 0) values[v] += cells[j];
        else padding += cells[j];
    }
    return padding;
}

#undef NAME
#undef WEIGHT
#undef FACTOR
#undef SUM
#undef WEIGH
