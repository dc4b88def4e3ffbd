#include "descent.h"

#include <math.h>
#include <string.h>

#include "adam.h"
#include "descent_work.h"
#include "float_loops.h"

/* Inputs whose coefficients are at most this share of the mean one may change sides before the next look at all, so many steps later. */
#define ACTIVE 0.2f
#define LOOK_AGAIN 10
/* Fewer inputs are all active: it would save nothing. */
#define FEW 32

/* Multiply-adds between two ticks. */
#define PACE (1L << 25)

long floats_needed(const plan_t *plan, int num_atoms) {
    long n = plan->floats->num_neurons, m = plan->floats->num_inputs;
    long layers = 3 * plan->num_places + 2 * plan->floats->num_layers;
    return 4 * (n + num_atoms) + LANES + 2 * (n + m) + 4 * n + LANES + 2 * m + plan->floats->most_cells + plan->floats->most_taps + layers;
}

/* sum += factor * row */
INLINE void add_row(float *restrict sum, const float *restrict row, float factor, int n) {
    for (int j = 0; j < n; j++) sum[j] += factor * row[j];
}

INLINE float dot(const float *restrict a, const float *restrict b, int n) {
    float sum = 0;
    for (int j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

/* The largest c * y - lambda * acc over the vertices of each of n neurons, and the acc and y that attain it; returns their sum. */
INLINE float largest_vertices(const float *restrict vertex_acc, const float *restrict vertex_y, long stride, const float *restrict lambda,
                             const float *restrict c, float *restrict acc, float *restrict y, float *size, int n) {
    float sum = 0, magnitude = 0;
    for (int i = 0; i < n; i++) {
        float a = vertex_acc[i], v = vertex_y[i], best = c[i] * v - lambda[i] * a;
        UNROLLED
        for (int k = 1; k < VERTICES; k++) {
            float other_a = vertex_acc[k * stride + i], other_v = vertex_y[k * stride + i], value = c[i] * other_v - lambda[i] * other_a;
            a = value > best ? other_a : a;
            v = value > best ? other_v : v;
            best = value > best ? value : best;
        }
        acc[i] = a, y[i] = v;
        sum += best, magnitude += fabsf(c[i] * v) + fabsf(lambda[i] * a);
    }
    *size += magnitude;
    return sum;
}

/* c += a column's weights times the multipliers of what reads it */
INLINE void add_column(const column_t *column, const float *lambda, float *c) {
    const float *restrict a = column->weights, *restrict b = lambda + column->neuron;
    float sum = 0;
    int n = column->size & ~(LANES - 1);
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    *c += sum;
}

/* The same for four columns of the same neurons: a quarter of the waiting for sums */
INLINE void add_columns(const column_t *columns, const int *inputs, const float *lambda, float *c) {
    const float *restrict p = columns[inputs[0]].weights, *restrict q = columns[inputs[1]].weights;
    const float *restrict r = columns[inputs[2]].weights, *restrict s = columns[inputs[3]].weights;
    const float *restrict b = lambda + columns[inputs[0]].neuron;
    float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    int n = columns[inputs[0]].size & ~(LANES - 1);
    for (int i = 0; i < n; i++) {
        sum0 += p[i] * b[i];
        sum1 += q[i] * b[i];
        sum2 += r[i] * b[i];
        sum3 += s[i] * b[i];
    }
    c[inputs[0]] += sum0, c[inputs[1]] += sum1, c[inputs[2]] += sum2, c[inputs[3]] += sum3;
}

/* Move inputs to the ends that their coefficients point to, and carry changes into the accumulators that read them. */
INLINE void settle(const plan_t *plan, const node_t *node, work_t *w, const int *inputs, int n) {
    int k = 0;
    for (; k + 4 <= n; k += 4) {
        int alike = 1;
        for (int i = k; i < k + 3; i++) {
            const column_t *a = &plan->columns[inputs[i]], *b = &plan->columns[inputs[i + 1]];
            alike &= a->neuron == b->neuron && a->size == b->size;
        }
        if (alike)
            add_columns(plan->columns, inputs + k, w->lambda, w->c);
        else
            for (int i = k; i < k + 4; i++) add_column(&plan->columns[inputs[i]], w->lambda, &w->c[inputs[i]]);
    }
    for (; k < n; k++) add_column(&plan->columns[inputs[k]], w->lambda, &w->c[inputs[k]]);
    for (k = 0; k < n; k++) {
        int j = inputs[k];
        float c = w->c[j], lo = node->x_lo[j], hi = node->x_hi[j], x = c > 0 ? hi : lo;
        if (x == w->x[j]) continue;
        const column_t *column = &plan->columns[j];
        add_row(w->reached + column->neuron, column->weights, x - w->x[j], column->size & ~(LANES - 1));
        w->x[j] = x;
    }
}

/* All inputs; those with small coefficients are active until the next time. */
INLINE void settle_all(const plan_t *plan, const node_t *node, work_t *w) {
    float size = 0, sum = 0;
    for (int j = 0; j < plan->floats->num_inputs; j++) w->active[j] = j;
    settle(plan, node, w, w->active, plan->floats->num_inputs);
    for (int j = 0; j < plan->floats->num_inputs; j++) sum += fabsf(w->c[j]), size += fabsf(w->c[j] * w->x[j]);
    float most = plan->floats->num_inputs < FEW ? INFINITY : ACTIVE * sum / plan->floats->num_inputs;
    w->num_active = 0;
    for (int j = 0; j < plan->floats->num_inputs; j++) {
        w->active[w->num_active] = j;
        w->num_active += fabsf(w->c[j]) <= most;
    }
    w->size += size;
}

/* What the inequalities alone put on the values; returns their part of the dual value. */
INLINE float combine_atoms(const plan_t *plan, const node_t *node, const float *mu, float *c) {
    float total = 0;
    memset(c, 0, sizeof(float) * (plan->floats->num_neurons + plan->floats->num_inputs));
    for (int k = 0; k < node->num_atoms; k++) {
        const inequality_t *atom = node->atoms[k];
        total += mu[k] * atom->bound;
        for (int t = 0; t < atom->size; t++) c[atom->values[t]] -= mu[k] * atom->coefficients[t];
    }
    return total;
}

/* Multipliers of a layer, put on what it reads; returns what they put on padding. */
INLINE float put_layer_back(const plan_t *plan, int l, const float *lambda, work_t *w) {
    const float_layer_t *layer = &plan->floats->layers[l];
    if (!w->counts[l]) return 0;
    return put_back_at(layer, lambda + layer->map->neuron, w->c, w->cells, w->taps, w->places + plan->first_place[l], w->counts[l]);
}

/* Backward substitution: the multipliers of a straight line between the ends of each neuron's range, and the sizes of steps. */
INLINE void substitute(const plan_t *plan, const node_t *node, work_t *w) {
    int n = plan->floats->num_neurons, m = plan->floats->num_inputs, alive = 0;
    float *slope_line = w->best, *marks = w->x, sum = 0; /* x and y are one after the other, and not in use yet */
    choose_places(plan, node, w, marks);
    combine_atoms(plan, node, w->lambda + n, w->c);
    for (int l = plan->floats->num_layers - 1; l >= 0; l--) {
        const float_layer_t *layer = &plan->floats->layers[l];
        for (int i = layer->map->neuron; i < layer->map->neuron + layer->map->n_out; i++)
            slope_line[i] = node->slopes[i] < 0 ? 0 : i == node->anchor ? w->lambda[i] : node->slopes[i] * w->c[plan->floats->num_inputs + i];
        if (layer->reads_neurons) put_layer_back(plan, l, slope_line, w);
    }
    if (node->cold) memcpy(w->lambda, slope_line, sizeof(float) * n);
    for (int i = 0; i < n; i++) {
        if (node->slopes[i] < 0) w->lambda[i] = 0;
        w->step_size[i] = fmaxf(fabsf(slope_line[i]), fabsf(w->lambda[i]));
        sum += w->step_size[i], alive += marks[m + i] != 0 && node->slopes[i] >= 0;
    }
    for (int i = 0; i < n; i++) {
        int moves = marks[m + i] != 0 && node->slopes[i] >= 0;
        w->step_size[i] = moves ? fmaxf(w->step_size[i], LEAST_STEP * sum / alive + 1e-12f) : 0;
    }
    memset(marks, 0, sizeof(float) * (n + m));
    if (node->anchor >= 0) w->step_size[node->anchor] = 0;
}

/* The dual value at w->lambda and its gradient; a little too small a value if only active inputs may change sides. */
INLINE float evaluate(const plan_t *plan, const node_t *node, work_t *w, int full) {
    int n = plan->floats->num_neurons, m = plan->floats->num_inputs;
    float total = combine_atoms(plan, node, w->lambda + n, w->c);
    w->size = fabsf(total);
    for (int l = plan->floats->num_layers - 1; l >= 0; l--) {
        const float *bias = plan->floats->layers[l].bias - plan->floats->layers[l].map->neuron;
        float constant = 0;
        for (int s = plan->first_place[l]; s < last_span(plan, w, l); s++) {
            int at = w->begins[s], size = w->ends[s] - at;
            constant += dot(w->lambda + at, bias + at, size);
            total += largest_vertices(node->vertex_acc + at, node->vertex_y + at, n, w->lambda + at, w->c + m + at, w->acc + at, w->y + at, &w->size, size);
        }
        if (!plan->by_columns[l]) constant += put_layer_back(plan, l, w->lambda, w);
        w->size += fabsf(constant);
        total += constant;
    }
    if (w->any_rest) memcpy(w->rest, w->c, sizeof(float) * m);
    if (full)
        settle_all(plan, node, w);
    else
        settle(plan, node, w, w->active, w->num_active);
    if (w->any_rest) total += dot(w->rest, w->x, m);
    for (int l = 0; l < plan->floats->num_layers; l++) {
        const float_layer_t *layer = &plan->floats->layers[l];
        int at = layer->map->neuron, n_out = layer->map->n_out;
        float *gradient = w->gradient + at, *reached = w->reached + at;
        if (plan->by_columns[l])
            total += dot(w->lambda + at, reached, n_out);
        else if (w->counts[l])
            take_at(layer, w->x, w->cells, w->taps, reached, w->places + plan->first_place[l], w->counts[l]);
        for (int s = plan->first_place[l]; s < last_span(plan, w, l); s++)
            for (int i = w->begins[s] - at; i < w->ends[s] - at; i++) gradient[i] = reached[i] + layer->bias[i] - w->acc[at + i];
    }
    for (int k = 0; k < node->num_atoms; k++) {
        const inequality_t *atom = node->atoms[k];
        float slack = atom->bound;
        for (int t = 0; t < atom->size; t++) slack -= atom->coefficients[t] * w->x[atom->values[t]];
        w->gradient[n + k] = slack;
    }
    return total;
}

INLINE void follow(float *restrict mean, const float *restrict point, float share, int n) {
    for (int i = 0; i < n; i++) mean[i] += share * (point[i] - mean[i]);
}

/* The running means of the points. */
INLINE void follow_all(const plan_t *plan, const node_t *node, const work_t *w, float share) {
    follow(node->x_mean, w->x, share, plan->floats->num_inputs);
    for (int l = 0; l < plan->floats->num_layers; l++)
        for (int s = plan->first_place[l]; s < last_span(plan, w, l); s++) {
            int i = w->begins[s], size = w->ends[s] - i;
            follow(node->acc_mean + i, w->acc + i, share, size);
            follow(node->y_mean + i, w->y + i, share, size);
        }
}

/* Adam, each multiplier in steps of its natural size. */
INLINE void move(const float *restrict step_size, float *restrict lambda, float *restrict mean, float *restrict square,
                 const float *restrict gradient, float rate, float first, float second, int n) {
    for (int i = 0; i < n; i++) {
        float g = gradient[i] * step_size[i];
        mean[i] += FIRST_MOMENT * (g - mean[i]);
        square[i] += SECOND_MOMENT * (g * g - square[i]);
        lambda[i] -= rate * step_size[i] * (mean[i] * first) / (sqrtf(square[i] * second) + 1e-9f);
    }
}

/* Where no inequality sets the scale any multiple proves the same, and from node to node all would shrink into rounding. */
INLINE void rescale(float *lambda, int n) {
    float largest = 0;
    for (int i = 0; i < n; i++) largest = fmaxf(largest, fabsf(lambda[i]));
    if (largest > 0)
        for (int i = 0; i < n; i++) lambda[i] /= largest;
}

/* The largest multiplier of a neuron that no other reads stays as it is: without an inequality the value falls to 0 with all of them. */
INLINE void anchor_largest(const plan_t *plan, work_t *w) {
    int largest = -1;
    for (int i = 0; i < plan->floats->num_neurons; i++)
        if (plan->is_last[i] && (largest < 0 || fabsf(w->lambda[i]) > fabsf(w->lambda[largest]))) largest = i;
    if (largest >= 0) w->step_size[largest] = 0;
}

/* Whether it is time for a tick, and that says stop. */
INLINE int stopped(const plan_t *plan, work_t *w) {
    w->spent += w->cost;
    if (w->spent < PACE || !plan->tick) return 0;
    w->spent = 0;
    return plan->tick(plan->who);
}

/* Up to `steps` steps from w->lambda; what is best goes to the node. Returns whether the value is below 0, or -1 if a tick says stop. */
INLINE int take_steps(const plan_t *plan, const node_t *node, work_t *w, int steps, float rate, float decay, int means, float *best, int *taken) {
    int n = plan->floats->num_neurons, atoms = node->num_atoms;
    float first = 1, second = 1;
    static const float unit = 1.0f;
    for (int step = 1; step <= steps; step++) {
        int full = step % LOOK_AGAIN == 1 || !plan->any_columns;
        if (stopped(plan, w)) return -1;
        float value;
        for (;; full = 1) { /* one call, inlined once */
            value = evaluate(plan, node, w, full);
            if (full || !(value < 0)) break;
        }
        float share = 1.0f / (step < MEAN_STEPS ? step : MEAN_STEPS);
        ++*taken;
        if (means) follow_all(plan, node, w, share);
        int below = full && value < -NOISE * w->size;
        if (value < *best || below) { /* one that proves goes before a lower one that is rounding */
            *best = value;
            memcpy(node->multipliers, w->lambda, sizeof(float) * n);
            memcpy(node->shares, w->lambda + n, sizeof(float) * atoms);
        }
        if (below) return 1;
        first *= 1 - FIRST_MOMENT, second *= 1 - SECOND_MOMENT;
        for (int l = 0; l < plan->floats->num_layers; l++)
            for (int s = plan->first_place[l]; s < last_span(plan, w, l); s++) {
                int i = w->begins[s];
                move(w->step_size + i, w->lambda + i, w->mean + i, w->square + i, w->gradient + i, rate, 1 / (1 - first), 1 / (1 - second), w->ends[s] - i);
            }
        if (atoms > 1) /* a single inequality sets the scale */
            for (int k = n; k < n + atoms; k++) {
                move(&unit, w->lambda + k, w->mean + k, w->square + k, w->gradient + k, rate, 1 / (1 - first), 1 / (1 - second), 1);
                if (w->lambda[k] < 0) w->lambda[k] = 0;
            }
        rate *= decay;
    }
    return 0;
}

EVERY_TARGET
float descend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken) {
    work_t w = share_out(plan, node, work);
    int n = plan->floats->num_neurons, atoms = node->num_atoms;
    float best = INFINITY;
    *taken = 0;
    memset(work, 0, sizeof(float) * floats_needed(plan, atoms));
    memcpy(w.lambda, node->multipliers, sizeof(float) * n);
    if (!node->cold && atoms == 0) rescale(w.lambda, n);
    memcpy(w.lambda + n, node->shares, sizeof(float) * atoms);
    for (int k = 0; k < atoms; k++) w.cost += node->atoms[k]->size;
    substitute(plan, node, &w);
    int below = take_steps(plan, node, &w, steps, rate, decay, 1, &best, taken);
    if (!below && polish > 0) {
        memcpy(w.lambda, node->multipliers, sizeof(float) * n);
        memcpy(w.lambda + n, node->shares, sizeof(float) * atoms);
        memset(w.mean, 0, sizeof(float) * (n + atoms));
        memset(w.square, 0, sizeof(float) * (n + atoms));
        if (atoms == 0 && node->anchor < 0) anchor_largest(plan, &w);
        below = take_steps(plan, node, &w, polish, POLISH_RATE, POLISH_DECAY, 0, &best, taken);
    }
    if (below < 0) {
        *taken = -1;
        return INFINITY;
    }
    if (!below) {
        memcpy(w.lambda, node->multipliers, sizeof(float) * n);
        memcpy(w.lambda + n, node->shares, sizeof(float) * atoms);
        best = evaluate(plan, node, &w, 1);
    }
    memcpy(node->coefficients, w.c, sizeof(float) * (n + plan->floats->num_inputs));
    memcpy(node->x_best, w.x, sizeof(float) * plan->floats->num_inputs);
    return best;
}
