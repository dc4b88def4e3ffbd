#include "ranges.h"

#include <float.h>
#include <math.h>

#include "vector.h"

/* A matrix with fewer nonzeros than this part of it is faster without its zeros. */
enum { SPARSE = 8 };

INLINE int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

INLINE int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The steps of output i, from y_min on. */
INLINE const int64_t *steps_of(const block_t *block, int i) {
    return block->steps + (int64_t)(i % block->channels) * (block->levels + 1);
}

int within_steps(const blocks_t *plan, ranges_t node) {
    for (const block_t *block = plan->blocks; block < plan->blocks + plan->num_blocks; block++)
        for (int v = plan->num_inputs + block->neuron; block->channels && v < plan->num_inputs + block->neuron + block->n_out; v++)
            for (int end = 0; end < 2; end++) {
                int64_t y = end ? node.hi[v] : node.lo[v];
                if (y < block->y_min || y >= block->y_min + block->levels) return 0;
            }
    return 1;
}

/* W sum and |W| width for one row of W; 32 bits let vector instructions multiply into 64. */
EVERY_TARGET
static void multiply(const int32_t *restrict row, const int32_t *restrict sum, const int32_t *restrict width, int n, int64_t *middle,
                     int64_t *reach) {
    int64_t a = 0, b = 0;
    for (int j = 0; j < n; j++) {
        int32_t w = row[j], size = w < 0 ? -w : w;
        a += (int64_t)w * sum[j];
        b += (int64_t)size * width[j];
    }
    *middle = a, *reach = b;
}

/* The same without zeros. */
static void multiply_sparse(const block_t *block, int i, const int64_t *sum, const int64_t *width, int64_t *middle, int64_t *reach) {
    int64_t a = 0, b = 0;
    for (int64_t k = block->indptr[i]; k < block->indptr[i + 1]; k++) {
        int64_t w = block->weights[k];
        a += w * sum[block->indices[k]];
        b += (w < 0 ? -w : w) * width[block->indices[k]];
    }
    *middle = a, *reach = b;
}

/* Accumulators from what they read: 2 * acc = 2 * bias + W (lo + hi) -+ |W| (hi - lo). Twice an accumulator stays inside int64. */
static void read_values(const block_t *block, ranges_t node, propagation_t work) {
    int dense = block->indptr[block->n_out] > (int64_t)block->n_out * block->n_in / SPARSE;
    for (int j = 0; j < block->n_in; j++) {
        int64_t sum = node.lo[block->source + j] + node.hi[block->source + j], width = node.hi[block->source + j] - node.lo[block->source + j];
        work.sum[j] = sum, work.width[j] = width;
        work.narrow_sum[j] = (int32_t)sum, work.narrow_width[j] = (int32_t)width;
        dense &= work.narrow_sum[j] == sum && work.narrow_width[j] == width;
    }
    for (int i = 0; i < block->n_out; i++) {
        int64_t middle, reach, *lo = &node.acc_lo[block->neuron + i], *hi = &node.acc_hi[block->neuron + i];
        if (dense) multiply(block->matrix + (int64_t)i * block->n_in, work.narrow_sum, work.narrow_width, block->n_in, &middle, &reach);
        else multiply_sparse(block, i, work.sum, work.width, &middle, &reach);
        *lo = most(*lo, block->bias[i] + (middle - reach) / 2);
        *hi = least(*hi, block->bias[i] + (middle + reach) / 2);
    }
}

/* Outputs from accumulators and back. A cut moves few of them, and those not far. */
static int requantize(const block_t *block, ranges_t node, int num_inputs) {
    for (int i = 0; i < block->n_out; i++) {
        int n = block->neuron + i, v = num_inputs + n;
        if (block->channels) {
            const int64_t *starts = steps_of(block, i);
            int64_t lo = node.lo[v] - block->y_min, hi = node.hi[v] - block->y_min;
            while (lo < block->levels - 1 && starts[lo + 1] <= node.acc_lo[n]) lo++;
            while (hi > 0 && starts[hi] > node.acc_hi[n]) hi--;
            node.lo[v] = lo + block->y_min, node.hi[v] = hi + block->y_min;
            if (lo > hi) return 0;
            node.acc_lo[n] = most(node.acc_lo[n], starts[lo]);
            node.acc_hi[n] = least(node.acc_hi[n], starts[hi + 1] - 1);
        }
        if (node.acc_lo[n] > node.acc_hi[n]) return 0;
    }
    return 1;
}

int propagate(const blocks_t *plan, ranges_t node, int inputs, propagation_t work) {
    for (const block_t *block = plan->blocks; block < plan->blocks + plan->num_blocks; block++) {
        if (inputs || block->source >= plan->num_inputs) read_values(block, node, work);
        if (!requantize(block, node, plan->num_inputs)) return 0;
    }
    return 1;
}

/* The smallest of a coefficient times its value for sign 1, the largest for -1. */
INLINE int64_t end_of(const atom_t *atom, int k, ranges_t node, int sign) {
    int64_t c = atom->coefficients[k], v = atom->values[k];
    return c * (c * sign > 0 ? node.lo[v] : node.hi[v]);
}

/* The same of the whole sum, less its bound. */
static int64_t reach(const atom_t *atom, ranges_t node, int sign) {
    int64_t total = -atom->bound;
    for (int k = 0; k < atom->size; k++) total += end_of(atom, k, node, sign);
    return total;
}

int narrow(const atom_t *all, const int32_t *atoms, int num_atoms, const uint8_t *cuttable, ranges_t node) {
    for (int a = 0; a < num_atoms; a++) {
        const atom_t *atom = &all[atoms[a]];
        int64_t room = -reach(atom, node, 1);
        if (room < 0) return 0;
        for (int k = 0; k < atom->size; k++) {
            int64_t c = atom->coefficients[k], v = atom->values[k];
            if (!cuttable[v]) continue;
            /* c * v may be at most `room` above its smallest value, which is at the end that stays. */
            if (c > 0) node.hi[v] = least(node.hi[v], node.lo[v] + room / c);
            if (c < 0) node.lo[v] = most(node.lo[v], node.hi[v] - room / -c);
        }
    }
    return 1;
}

int undecided(const atom_t *all, const int32_t *atoms, int num_atoms, ranges_t node, int32_t *open, int32_t *slots) {
    int count = 0;
    for (int a = 0; a < num_atoms; a++)
        if (reach(&all[atoms[a]], node, -1) > 0) open[count] = atoms[a], slots[count++] = a;
    return count;
}

/* acc and y hold six points of each neuron, `stride` apart: begins of the first, second and last step, ends of the first, last but
   one and last. */
static void corners_of(const int64_t *starts, int64_t y_min, const int64_t *range, float *acc, float *y, int stride) {
    int64_t lo = range[0], hi = range[1], acc_lo = range[2], acc_hi = range[3], low = lo - y_min, high = hi - y_min;
    int64_t second = least(low + 1, high), after = most(high, low + 1);
    int64_t accs[RANGES_CORNERS] = {acc_lo, most(acc_lo, starts[second]), most(acc_lo, starts[high]),
                                    least(acc_hi, starts[low + 1] - 1), least(acc_hi, starts[after] - 1), acc_hi};
    int64_t ys[RANGES_CORNERS] = {lo, lo + second - low, hi, lo, most(hi - 1, lo), hi};
    for (int k = 0; k < RANGES_CORNERS; k++) acc[k * stride] = (float)accs[k], y[k * stride] = (float)ys[k];
}

void corners(const blocks_t *plan, ranges_t node, float *acc, float *y, float *slopes) {
    int stride = plan->num_neurons;
    for (const block_t *block = plan->blocks; block < plan->blocks + plan->num_blocks; block++)
        for (int i = 0; i < block->n_out; i++) {
            int n = block->neuron + i, v = plan->num_inputs + n;
            int64_t range[4] = {node.lo[v], node.hi[v], node.acc_lo[n], node.acc_hi[n]}, run = range[3] - range[2];
            double usual = 1;
            if (block->channels) {
                const int64_t *starts = steps_of(block, i);
                corners_of(starts, block->y_min, range, acc + n, y + n, stride);
                run = most(range[2], starts[range[1] - block->y_min]) - range[2];
                usual = (double)(starts[block->levels - 1] - starts[1]) / (double)most(1, block->levels - 2);
            } else {
                for (int k = 0; k < RANGES_CORNERS; k++) {
                    acc[n + k * stride] = (float)range[k == 2 || k == 3 ? 3 : 2];
                    y[n + k * stride] = (float)range[k == 1 || k == 3];
                }
            }
            slopes[n] = (float)(range[1] > range[0] ? (double)(range[1] - range[0]) / (double)most(1, run) : 1 / (usual > 1 ? usual : 1));
        }
}

/* The output of an accumulator. */
static int64_t output_of(const int64_t *starts, int levels, float acc) {
    int64_t whole = acc >= 4e18f ? INT64_MAX : acc > -4e18f ? (int64_t)acc : INT64_MIN;
    int64_t a = 0, b = levels - 1; /* the last one whose start is not above */
    while (a < b) {
        int64_t middle = (a + b + 1) / 2;
        if (starts[middle] <= whole) a = middle;
        else b = middle - 1;
    }
    return a;
}

/* How much there is to win by a cut of an output: see split.py. */
static double score_of(const block_t *block, ranges_t node, relaxed_t point, int num_inputs, int i) {
    int n = block->neuron + i, v = num_inputs + n;
    const int64_t *starts = steps_of(block, i);
    int64_t lo = node.lo[v], hi = node.hi[v], acc_lo = node.acc_lo[n], acc_hi = node.acc_hi[n];
    float weight = fabsf(point.coefficients[v]), room, gap;
    if (lo == hi || !(weight > 0)) return 0;
    weight = weight < FLT_MAX ? weight : FLT_MAX;
    int64_t low_end = least(acc_hi, starts[lo - block->y_min + 1] - 1), high_end = most(acc_lo, starts[hi - block->y_min]);
    int64_t flat = most(low_end - acc_lo, acc_hi - high_end);
    room = (float)((double)(hi - lo) * ((double)flat / (double)most(1, acc_hi - acc_lo)) - 0.5);
    gap = 0;
    if (room > 0) {
        int64_t exact = output_of(starts, block->levels, point.acc[n]) + block->y_min;
        gap = (float)(fabs((double)point.y[n] - (double)exact) - 0.5);
    }
    float both = room > 0 && gap > 0 ? sqrtf(gap * room) : 0;
    return (double)weight * ((double)both + 1e-6 * (double)(hi - lo));
}

/* At an end of the saturated range if accumulators to spare lie there, else where the point is. */
static int64_t cut_of(const block_t *block, ranges_t node, relaxed_t point, int num_inputs, int i) {
    int n = block->neuron + i, v = num_inputs + n;
    const int64_t *starts = steps_of(block, i);
    int64_t first = node.lo[v], last = node.hi[v];
    int low = first == block->y_first[i] && node.acc_lo[n] < starts[first + 1 - block->y_min] - 1;
    int high = last == block->y_last[i] && node.acc_hi[n] > starts[last - block->y_min];
    double y = point.y[n];
    if (low && !(high && y > (double)(first + last) / 2)) return first + 1;
    if (high) return last;
    return y >= (double)last ? last : y >= (double)first ? least(last, (int64_t)floor(y) + 1) : first + 1;
}

int64_t choose(const blocks_t *plan, ranges_t node, relaxed_t point, int64_t *at) {
    const block_t *best = 0;
    double highest = 0;
    int chosen = 0;
    for (const block_t *block = plan->blocks; block < plan->blocks + plan->num_blocks; block++)
        for (int i = 0; block->channels && i < block->n_out; i++) { /* a cut through other outputs would say nothing of accumulators */
            double score = score_of(block, node, point, plan->num_inputs, i);
            if (score > highest) highest = score, best = block, chosen = i;
        }
    *at = 0;
    if (!best) return -1;
    *at = cut_of(best, node, point, plan->num_inputs, chosen);
    return plan->num_inputs + best->neuron + chosen;
}
