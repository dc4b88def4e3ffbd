#include "ascent.h"

#include <math.h>
#include <string.h>

#include "vector.h"


/* How much of the last point stays in the running means of points, gradients and squares. */
#define MEAN_STEPS 16
#define FIRST_MOMENT 0.3f
#define SECOND_MOMENT 0.1f

/* No step is smaller than this share of the mean one: a neuron whose relaxation is exact now may need a multiplier later. */
#define LEAST_STEP 1e-3f

/* Inputs whose coefficients are at most this share of the mean one may change sides before the next look at all, so many steps later. */
#define ACTIVE 0.2f
#define LOOK_AGAIN 10
/* Fewer inputs are all active: it would save nothing. */
#define FEW 32

/* Polishing starts again from the best multipliers, with steps too small to lose them and of no use for the means. */
#define POLISH_RATE 0.02f
#define POLISH_DECAY 0.93f

/* Multiply-adds between two ticks. */
#define PACE (1L << 25)

/* A value counts as below 0 if it is so by this share of the terms that it is the sum of: the rest is rounding. */
#define NOISE 1e-6f

typedef struct {
    float *lambda, *mean, *square, *gradient; /* num_neurons + num_atoms */
    float *c, *x, *acc, *y, *reached;         /* num_values, num_inputs, then num_neurons each */
    float *best, *natural;                    /* num_neurons: a neuron's largest term; the size of a step of its multiplier */
    int *active, num_active;                  /* num_inputs: those that may change sides before the next full look */
    float size;                               /* magnitudes of the terms of the last full value */
    long cost, spent;                         /* multiply-adds of one value, and those since the last tick */
} work_t;

long floats_needed(const plan_t *plan, int num_atoms) {
    long n = plan->num_neurons, m = plan->num_inputs;
    return 4 * (n + num_atoms) + LANES + (n + m) + m + 5 * n + LANES + m;
}

INLINE work_t share_out(const plan_t *plan, int num_atoms, float *work) {
    work_t w;
    long n = plan->num_neurons, m = plan->num_inputs, all = n + num_atoms;
    w.lambda = work, work += all + LANES;
    w.mean = work, work += all;
    w.square = work, work += all;
    w.gradient = work, work += all;
    w.c = work, work += n + m;
    w.x = work, work += m;
    w.acc = work, work += n;
    w.y = work, work += n;
    w.reached = work, work += n + LANES;
    w.best = work, work += n;
    w.natural = work, work += n;
    w.active = (int *)work;
    w.size = 0, w.num_active = 0;
    w.cost = plan->weights + n + m, w.spent = 0;
    return w;
}

/* sum += factor * row */
INLINE void add_row(float *restrict sum, const float *restrict row, float factor, int n) {
    for (int j = 0; j < n; j++) sum[j] += factor * row[j];
}

/* sum += four factors times four rows: a quarter of the traffic to `sum` */
INLINE void add_rows(float *restrict sum, const float *const *rows, const float *f, int n) {
    const float *restrict a = rows[0], *restrict b = rows[1], *restrict c = rows[2], *restrict d = rows[3];
    for (int j = 0; j < n; j++) sum[j] += f[0] * a[j] + f[1] * b[j] + f[2] * c[j] + f[3] * d[j];
}

INLINE float dot(const float *restrict a, const float *restrict b, int n) {
    float sum = 0;
    for (int j = 0; j < n; j++) sum += a[j] * b[j];
    return sum;
}

/* c[source] += lambda W, skipping rows with a multiplier of 0 (neurons that are fixed) */
INLINE void pass_back(const layer_t *layer, const float *lambda, float *c) {
    const float *rows[4];
    float factors[4];
    int held = 0;
    for (int i = 0; i < layer->n_out; i++) {
        if (lambda[i] == 0) continue;
        rows[held] = layer->matrix + (long)i * layer->n_in;
        factors[held++] = lambda[i];
        if (held == 4) {
            add_rows(c + layer->source, rows, factors, layer->n_in);
            held = 0;
        }
    }
    while (held--) add_row(c + layer->source, rows[held], factors[held], layer->n_in);
}

/* The largest c * y - lambda * acc over the corners of each of n neurons, and the acc and y that attain it; returns their sum. */
INLINE float largest_corners(const float *restrict corner_acc, const float *restrict corner_y, long stride, const float *restrict lambda,
                             const float *restrict c, float *restrict acc, float *restrict y, float *size, int n) {
    float sum = 0, magnitude = 0;
    for (int i = 0; i < n; i++) {
        float a = corner_acc[i], v = corner_y[i], best = c[i] * v - lambda[i] * a;
        UNROLLED
        for (int k = 1; k < CORNERS; k++) {
            float other_a = corner_acc[k * stride + i], other_v = corner_y[k * stride + i], value = c[i] * other_v - lambda[i] * other_a;
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
    for (int j = 0; j < plan->num_inputs; j++) w->active[j] = j;
    settle(plan, node, w, w->active, plan->num_inputs);
    for (int j = 0; j < plan->num_inputs; j++) sum += fabsf(w->c[j]), size += fabsf(w->c[j] * w->x[j]);
    float most = plan->num_inputs < FEW ? INFINITY : ACTIVE * sum / plan->num_inputs;
    w->num_active = 0;
    for (int j = 0; j < plan->num_inputs; j++) {
        w->active[w->num_active] = j;
        w->num_active += fabsf(w->c[j]) <= most;
    }
    w->size += size;
}

/* What the inequalities alone put on the values; returns their part of the dual value. */
INLINE float combine_atoms(const plan_t *plan, const node_t *node, const float *mu, float *c) {
    float total = 0;
    memset(c, 0, sizeof(float) * (plan->num_neurons + plan->num_inputs));
    for (int k = 0; k < node->num_atoms; k++) {
        const atom_t *atom = node->atoms[k];
        total += mu[k] * atom->bound;
        for (int t = 0; t < atom->size; t++) c[atom->values[t]] -= mu[k] * atom->coefficients[t];
    }
    return total;
}

/* Backward substitution: the multipliers of a straight line between the ends of each neuron's range, and the sizes of steps. */
INLINE void substitute(const plan_t *plan, const node_t *node, work_t *w) {
    int n = plan->num_neurons, alive = 0;
    float *slope_line = w->best, sum = 0;
    combine_atoms(plan, node, w->lambda + n, w->c);
    for (int l = plan->num_layers - 1; l >= 0; l--) {
        const layer_t *layer = &plan->layers[l];
        for (int i = layer->neuron; i < layer->neuron + layer->n_out; i++)
            slope_line[i] = i == node->held        ? w->lambda[i]
                            : node->slopes[i] < 0 ? 0
                                                  : node->slopes[i] * w->c[plan->num_inputs + i];
        if (!layer->reads_inputs) pass_back(layer, slope_line + layer->neuron, w->c);
    }
    if (node->fresh) memcpy(w->lambda, slope_line, sizeof(float) * n);
    for (int i = 0; i < n; i++) {
        if (node->slopes[i] < 0) w->lambda[i] = 0;
        w->natural[i] = fmaxf(fabsf(slope_line[i]), fabsf(w->lambda[i]));
        sum += w->natural[i], alive += node->slopes[i] >= 0;
    }
    for (int i = 0; i < n; i++) w->natural[i] = node->slopes[i] < 0 ? 0 : fmaxf(w->natural[i], LEAST_STEP * sum / alive + 1e-12f);
    if (node->held >= 0) w->natural[node->held] = 0;
}

/* The dual value at w->lambda and its gradient; a little too small a value if only active inputs may change sides. */
INLINE float evaluate(const plan_t *plan, const node_t *node, work_t *w, int full) {
    int n = plan->num_neurons, m = plan->num_inputs;
    float total = combine_atoms(plan, node, w->lambda + n, w->c);
    w->size = fabsf(total);
    for (int l = plan->num_layers - 1; l >= 0; l--) {
        const layer_t *layer = &plan->layers[l];
        float constant = dot(w->lambda + layer->neuron, layer->bias, layer->n_out);
        w->size += fabsf(constant);
        total += constant;
        int at = layer->neuron;
        total += largest_corners(node->corner_acc + at, node->corner_y + at, n, w->lambda + at, w->c + m + at, w->acc + at, w->y + at, &w->size, layer->n_out);
        if (!layer->reads_inputs) pass_back(layer, w->lambda + layer->neuron, w->c);
    }
    if (full)
        settle_all(plan, node, w);
    else
        settle(plan, node, w, w->active, w->num_active);
    for (int k = 0; k < node->num_atoms; k++)
        for (int t = 0; t < node->atoms[k]->size; t++) {
            int v = node->atoms[k]->values[t];
            if (v < m) total -= w->lambda[n + k] * node->atoms[k]->coefficients[t] * w->x[v];
        }
    for (int l = 0; l < plan->num_layers; l++) {
        const layer_t *layer = &plan->layers[l];
        if (layer->reads_inputs) total += dot(w->lambda + layer->neuron, w->reached + layer->neuron, layer->n_out);
    }
    for (int l = 0; l < plan->num_layers; l++) {
        const layer_t *layer = &plan->layers[l];
        float *gradient = w->gradient + layer->neuron;
        const float *source = w->y + layer->source - m;
        for (int i = 0; i < layer->n_out; i++) {
            float reached = layer->reads_inputs ? w->reached[layer->neuron + i] : dot(layer->matrix + (long)i * layer->n_in, source, layer->n_in);
            gradient[i] = reached + layer->bias[i] - w->acc[layer->neuron + i];
        }
    }
    for (int k = 0; k < node->num_atoms; k++) {
        const atom_t *atom = node->atoms[k];
        float slack = atom->bound;
        for (int t = 0; t < atom->size; t++) {
            int v = atom->values[t];
            slack -= atom->coefficients[t] * (v < m ? w->x[v] : w->y[v - m]);
        }
        w->gradient[n + k] = slack;
    }
    return total;
}

INLINE void follow(float *restrict mean, const float *restrict point, float share, int n) {
    for (int i = 0; i < n; i++) mean[i] += share * (point[i] - mean[i]);
}

/* Adam, each multiplier in steps of its natural size. */
INLINE void move(const float *restrict natural, float *restrict lambda, float *restrict mean, float *restrict square,
                 const float *restrict gradient, float rate, float first, float second, int n) {
    for (int i = 0; i < n; i++) {
        float g = gradient[i] * natural[i];
        mean[i] += FIRST_MOMENT * (g - mean[i]);
        square[i] += SECOND_MOMENT * (g * g - square[i]);
        lambda[i] -= rate * natural[i] * (mean[i] * first) / (sqrtf(square[i] * second) + 1e-9f);
    }
}

/* Where no inequality sets the scale any multiple proves the same, and from node to node all would shrink into rounding. */
INLINE void rescale(float *lambda, int n) {
    float largest = 0;
    for (int i = 0; i < n; i++) largest = fmaxf(largest, fabsf(lambda[i]));
    if (largest > 0)
        for (int i = 0; i < n; i++) lambda[i] /= largest;
}

/* The heaviest multiplier of a neuron that no other reads stays as it is: without an inequality the value falls to 0 with all of them. */
INLINE void hold_heaviest(const plan_t *plan, work_t *w) {
    int heaviest = -1;
    for (int i = 0; i < plan->num_neurons; i++)
        if (plan->is_last[i] && (heaviest < 0 || fabsf(w->lambda[i]) > fabsf(w->lambda[heaviest]))) heaviest = i;
    if (heaviest >= 0) w->natural[heaviest] = 0;
}

/* Whether it is time for a tick, and that says stop. */
INLINE int stopped(const plan_t *plan, work_t *w) {
    w->spent += w->cost;
    if (w->spent < PACE || !plan->tick) return 0;
    w->spent = 0;
    return plan->tick(plan->who);
}

/* Up to `steps` steps from w->lambda; what is best goes to the node. Returns whether the value is below 0, or -1 if a tick says stop. */
INLINE int descend(const plan_t *plan, const node_t *node, work_t *w, int steps, float rate, float decay, int means, float *best, int *taken) {
    int n = plan->num_neurons, m = plan->num_inputs, atoms = node->num_atoms;
    float first = 1, second = 1;
    static const float unit = 1.0f;
    for (int step = 1; step <= steps; step++) {
        int full = step % LOOK_AGAIN == 1;
        if (stopped(plan, w)) return -1;
        float value;
        for (;; full = 1) { /* one call, inlined once */
            value = evaluate(plan, node, w, full);
            if (full || !(value < 0)) break;
        }
        float share = 1.0f / (step < MEAN_STEPS ? step : MEAN_STEPS);
        ++*taken;
        if (means) {
            follow(node->x_mean, w->x, share, m);
            follow(node->acc_mean, w->acc, share, n);
            follow(node->y_mean, w->y, share, n);
        }
        int below = full && value < -NOISE * w->size;
        if (value < *best || below) { /* one that proves goes before a lower one that is rounding */
            *best = value;
            memcpy(node->multipliers, w->lambda, sizeof(float) * n);
            memcpy(node->shares, w->lambda + n, sizeof(float) * atoms);
        }
        if (below) return 1;
        first *= 1 - FIRST_MOMENT, second *= 1 - SECOND_MOMENT;
        move(w->natural, w->lambda, w->mean, w->square, w->gradient, rate, 1 / (1 - first), 1 / (1 - second), n);
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
float ascend(const plan_t *plan, const node_t *node, int steps, float rate, float decay, int polish, float *work, int *taken) {
    work_t w = share_out(plan, node->num_atoms, work);
    int n = plan->num_neurons, atoms = node->num_atoms;
    float best = INFINITY;
    *taken = 0;
    memset(work, 0, sizeof(float) * floats_needed(plan, atoms));
    memcpy(w.lambda, node->multipliers, sizeof(float) * n);
    if (!node->fresh && atoms == 0) rescale(w.lambda, n);
    memcpy(w.lambda + n, node->shares, sizeof(float) * atoms);
    for (int k = 0; k < atoms; k++) w.cost += node->atoms[k]->size;
    substitute(plan, node, &w);
    int below = descend(plan, node, &w, steps, rate, decay, 1, &best, taken);
    if (!below && polish > 0) {
        memcpy(w.lambda, node->multipliers, sizeof(float) * n);
        memcpy(w.lambda + n, node->shares, sizeof(float) * atoms);
        memset(w.mean, 0, sizeof(float) * (n + atoms));
        memset(w.square, 0, sizeof(float) * (n + atoms));
        if (atoms == 0 && node->held < 0) hold_heaviest(plan, &w);
        below = descend(plan, node, &w, polish, POLISH_RATE, POLISH_DECAY, 0, &best, taken);
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
    memcpy(node->coefficients, w.c, sizeof(float) * (n + plan->num_inputs));
    memcpy(node->x_best, w.x, sizeof(float) * plan->num_inputs);
    return best;
}

EVERY_TARGET
void products(const float *x, const float *matrix, float *result, long batch, int n_out, int n_in) {
    for (long b = 0; b < batch; b++)
        for (int i = 0; i < n_out; i++) result[b * n_out + i] = dot(matrix + (long)i * n_in, x + b * n_in, n_in);
}

EVERY_TARGET
void products_back(const float *y, const float *matrix, float *result, long batch, int n_out, int n_in) {
    layer_t layer = {.n_out = n_out, .n_in = n_in, .matrix = matrix};
    memset(result, 0, sizeof(float) * batch * n_in);
    for (long b = 0; b < batch; b++) pass_back(&layer, y + b * n_out, result + b * n_in);
}
