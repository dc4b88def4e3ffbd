#include "anneal.h"

#include <math.h>
#include <string.h>

#include "float_loops.h"

/* Sweeps of one attempt to follow a move; after every STAGE of them what is missing must have fallen to this share. */
#define SWEEPS 60
#define STAGE 5
#define FALL 0.5f

/* A sweep moves the inputs that promise at least this share of the best one's gain, and no more than MOST of them. */
#define PROMISING 0.3f
#define MOST 48

/* Moves that the size of a step in the score is measured on. */
#define PROBES 200

/* Attempts to make inputs whole, moves of each, and inputs that are looked at for the first of them. */
#define ATTEMPTS 2
#define REPAIRS 300
#define LOOKS 64

/* For that, accumulators keep so many times further from the ends of their steps, or half, or a quarter, at most this share of a step. */
#define SHYEST 16.0f
#define WIDEST 0.4f

#define UNBOUNDED 1e30f

INLINE float smaller(float a, float b) { return a < b ? a : b; }
INLINE float larger(float a, float b) { return a > b ? a : b; }

/* xorshift128+ */
INLINE uint64_t draw(anneal_t *w) {
    uint64_t a = w->random[0], b = w->random[1];
    w->random[0] = b;
    a ^= a << 23;
    w->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return w->random[1] + b;
}

INLINE float draw_share(anneal_t *w) { return (float)(draw(w) >> 40) * (1.0f / 16777216); }
INLINE int draw_below(anneal_t *w, int n) { return (int)((draw(w) >> 33) % (uint64_t)n); }

/* How far an accumulator is above, or less than 0 below, its range. */
INLINE float outside(float acc, float least, float most) { return larger(0, acc - most) - larger(0, least - acc); }

INLINE int level_of(const steps_t *s, float acc) {
    float guess = floorf((acc - s->begin) / s->length) + (float)s->base;
    int k = guess > 0 ? guess < (float)s->last ? (int)guess : s->last : 0;
    while (k < s->last && acc >= s->steps[k + 1]) k++;
    while (k > 0 && acc < s->steps[k]) k--;
    return k;
}

/* Outputs of all later layers from those of the rows; accumulators and levels too. */
INLINE void run_later(const anneal_plan_t *plan, anneal_t *w) {
    for (int l = 0; l < plan->num_later; l++) {
        const float_layer_t *layer = &plan->floats->layers[plan->later[l]];
        int n = layer->map->n_out, neuron = layer->map->neuron;
        take(layer, w->x, w->cells, w->taps, w->sum + neuron);
        for (int i = neuron; i < neuron + n; i++) {
            w->sum[i] += layer->bias[i - neuron];
            w->reached[i] = level_of(&plan->steps[i], w->sum[i]);
            w->y[i] = plan->steps[i].y_min + (float)w->reached[i];
        }
    }
}

/* How many steps the accumulator of a term has to go for one step of its output in the direction that helps. */
INLINE float first_step(const steps_t *s, float acc, int level, float coefficient) {
    float way = coefficient > 0 ? acc - s->steps[level] + 1 : s->steps[level + 1] - acc;
    return way / s->length;
}

/* The steps that accumulators of an inequality have to go until it holds, the cheapest ones first. */
INLINE float deficit(const anneal_plan_t *plan, const target_t *target, anneal_t *w) {
    float excess = -target->bound, cost = 0;
    for (int t = 0; t < target->size; t++) excess += target->coefficients[t] * w->y[target->neurons[t]], w->taken[t] = 0;
    while (excess > 0) {
        float best = UNBOUNDED;
        int chosen = -1, left = 0;
        for (int t = 0; t < target->size; t++) {
            int i = target->neurons[t], room = target->coefficients[t] > 0 ? w->reached[i] : plan->steps[i].last - w->reached[i];
            if (w->taken[t] >= room) continue;
            float step = w->taken[t] ? 1 : first_step(&plan->steps[i], w->sum[i], w->reached[i], target->coefficients[t]);
            float price = step / fabsf(target->coefficients[t]);
            if (price < best) best = price, chosen = t, left = room - w->taken[t];
        }
        if (chosen < 0) return cost + excess;
        /* all further steps of a term cost the same, and no other term gets cheaper */
        float size = fabsf(target->coefficients[chosen]), needed = ceilf(excess / size);
        int units = !w->taken[chosen] || needed < 1 ? 1 : needed < (float)left ? (int)needed : left;
        cost += best * size * (float)units;
        excess -= size * (float)units;
        w->taken[chosen] += units;
    }
    return cost;
}

INLINE float score(const anneal_plan_t *plan, const goal_t *goal, anneal_t *w) {
    float total = 0;
    run_later(plan, w);
    for (int k = 0; k < goal->num_targets; k++) total += deficit(plan, goal->targets[k], w);
    if (total == 0) return 0;
    for (int k = 0; k < goal->num_ranges; k++) {
        int i = goal->neurons[k];
        total += fabsf(outside(w->sum[i], goal->lo[k], goal->hi[k])) / plan->steps[i].length;
    }
    return total;
}

/* Give a row a level: its output, and the accumulators that it may have, `clearance` away from the ends of the step. */
INLINE void set_level(const anneal_plan_t *plan, anneal_t *w, int row, int level, float clearance) {
    int i = plan->neuron[row];
    const steps_t *s = &plan->steps[i];
    w->level[row] = w->reached[i] = level;
    w->y[i] = s->y_min + (float)level;
    w->sum[i] = level ? s->steps[level] + (s->length - 1) / 2 : s->steps[1] - (s->length + 1) / 2; /* anywhere, where an inequality is about it */
    w->least[row] = level == 0 ? -UNBOUNDED : s->steps[level] + clearance;
    w->most[row] = level == s->last ? UNBOUNDED : s->steps[level + 1] - 1 - clearance;
}

INLINE void accumulate(const anneal_plan_t *plan, const float *x, float *restrict acc) {
    memset(acc, 0, sizeof(float) * plan->stride);
    memcpy(acc, plan->bias, sizeof(float) * plan->num_rows);
    for (int j = 0; j < plan->num_inputs; j++) {
        const float *restrict column = plan->columns + (long)j * plan->stride;
        for (int i = 0; i < plan->stride; i++) acc[i] += x[j] * column[i];
    }
}

/* w->violation, and the sum of its squares */
INLINE float look(const anneal_plan_t *plan, anneal_t *w) {
    const float *restrict acc = w->acc, *restrict least = w->least, *restrict most = w->most;
    float *restrict violation = w->violation, squares = 0;
    for (int i = 0; i < plan->stride; i++) {
        float d = outside(acc[i], least[i], most[i]);
        violation[i] = d, squares += d * d;
    }
    return squares;
}

/* The inputs that promise most, by the slope of the squares and the rooms that they have; how many. */
INLINE int list_promising(const anneal_plan_t *plan, anneal_t *w) {
    int m = plan->num_inputs, count = 0;
    float *restrict slope = w->slope, *restrict gain = w->gain, curvature = 1e-9f, best = 0;
    const float *restrict x = w->x, *restrict lo = plan->x_lo, *restrict hi = plan->x_hi;
    memset(slope, 0, sizeof(float) * m);
    for (int i = 0; i < plan->num_rows; i++) {
        float factor = w->violation[i];
        if (factor == 0) continue;
        const float *restrict row = plan->matrix + (long)i * m;
        for (int j = 0; j < m; j++) slope[j] += factor * row[j];
        curvature += plan->square[i];
    }
    float scale = 1 / curvature;
    for (int j = 0; j < m; j++) { /* the slope times the room in its direction, or times the way to the parabola's lowest point */
        float room = larger(slope[j] * (x[j] - lo[j]), slope[j] * (x[j] - hi[j])), way = slope[j] * slope[j] * scale;
        gain[j] = smaller(room, way);
    }
    float tops[ROW_LANES] = {0};
    int full = m & ~(ROW_LANES - 1);
    for (int j = 0; j < full; j += ROW_LANES)
        for (int k = 0; k < ROW_LANES; k++) tops[k] = larger(tops[k], gain[j + k]);
    for (int j = full; j < m; j++) best = larger(best, gain[j]);
    for (int k = 0; k < ROW_LANES; k++) best = larger(best, tops[k]);
    if (best <= 0) return 0;
    float enough = PROMISING * best;
    for (int j = 0; j < m; j++)
        if (gain[j] >= enough) w->listed[count++] = j;
    return count;
}

/* Move one input to where the squares are about smallest along it, as far as its range goes. */
INLINE void slide(const anneal_plan_t *plan, anneal_t *w, int j) {
    const float *restrict column = plan->columns + (long)j * plan->stride, *restrict least = w->least, *restrict most = w->most;
    float *restrict acc = w->acc, *restrict violation = w->violation, slope = 0, curvature = 1e-6f, after = 0;
    for (int i = 0; i < plan->stride; i++) {
        slope += column[i] * violation[i];
        curvature += violation[i] != 0 ? column[i] * column[i] : 0;
    }
    float room = slope > 0 ? plan->x_lo[j] - w->x[j] : plan->x_hi[j] - w->x[j], by = -slope / curvature;
    if (slope == 0 || room == 0) return;
    if (fabsf(by) > fabsf(room)) by = room;
    for (int i = 0; i < plan->stride; i++) after += column[i] * outside(acc[i] + by * column[i], least[i], most[i]);
    if (after * slope < 0) by *= slope / (slope - after); /* past the smallest: the secant's zero */
    w->x[j] += by;
    for (int i = 0; i < plan->stride; i++) {
        acc[i] += by * column[i];
        violation[i] = outside(acc[i], least[i], most[i]);
    }
}

/* Move inputs until every accumulator is in its range; 0 if that seems impossible. */
INLINE int follow(const anneal_plan_t *plan, anneal_t *w) {
    float before = INFINITY;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        float squares = look(plan, w);
        if (squares <= plan->tolerance) return 1;
        if (sweep % STAGE == STAGE - 1) {
            if (squares > FALL * before) return 0;
            before = squares;
        }
        int count = list_promising(plan, w);
        if (count == 0) return 0;
        int first = draw_below(w, count);
        for (int k = 0; k < count && k < MOST; k++) slide(plan, w, w->listed[(first + k) % count]);
    }
    return look(plan, w) <= plan->tolerance;
}

/* The sum of distances squared if w->acc moved by so many columns. */
INLINE float squares_after(const anneal_plan_t *plan, const anneal_t *w, int j, float by) {
    const float *restrict column = plan->columns + (long)j * plan->stride, *restrict acc = w->acc, *restrict least = w->least,
                *restrict most = w->most;
    float squares = 0;
    for (int i = 0; i < plan->stride; i++) {
        float d = outside(acc[i] + by * column[i], least[i], most[i]);
        squares += d * d;
    }
    return squares;
}

/* Every input down or up, from a random one on, whichever leaves the accumulators nearer to where they were: w->rounded, w->acc. */
INLINE void round_inputs(const anneal_plan_t *plan, anneal_t *w) {
    float *restrict off = w->violation;
    int first = draw_below(w, plan->num_inputs);
    memset(off, 0, sizeof(float) * plan->stride);
    for (int k = 0; k < plan->num_inputs; k++) {
        int j = first + k < plan->num_inputs ? first + k : first + k - plan->num_inputs;
        const float *restrict column = plan->columns + (long)j * plan->stride;
        float x = w->x[j], down = larger(floorf(x), plan->x_lo[j]), up = smaller(down + 1, plan->x_hi[j]), slope = 0, curvature = 0;
        for (int i = 0; i < plan->stride; i++) slope += off[i] * column[i], curvature += column[i] * column[i];
        /* (off + d column)^2 = off^2 + 2 d slope + d^2 curvature */
        float below = down - x, above = up - x;
        float by = below * (2 * slope + below * curvature) <= above * (2 * slope + above * curvature) ? below : above;
        w->rounded[j] = by == below ? down : up;
        for (int i = 0; i < plan->stride; i++) off[i] += by * column[i];
    }
    accumulate(plan, w->rounded, w->acc);
}

/* Whole inputs near w->x with the same levels, in w->rounded: rounded, then mended one by one. */
INLINE int mend(const anneal_plan_t *plan, anneal_t *w) {
    int looks = LOOKS < plan->num_inputs ? LOOKS : plan->num_inputs;
    round_inputs(plan, w);
    for (int move = 0; move < REPAIRS; move++) {
        float least = squares_after(plan, w, 0, 0), by = 0;
        int chosen = -1;
        if (least == 0) return 1;
        for (int look = 0; look < looks; look++) {
            int j = looks < plan->num_inputs ? draw_below(w, plan->num_inputs) : look;
            for (float sign = -1; sign <= 1; sign += 2) {
                if (w->rounded[j] + sign < plan->x_lo[j] || w->rounded[j] + sign > plan->x_hi[j]) continue;
                float squares = squares_after(plan, w, j, sign);
                if (squares < least) least = squares, chosen = j, by = sign;
            }
        }
        if (chosen < 0 && looks == plan->num_inputs) return 0;
        if (chosen < 0) {
            looks = 2 * looks < plan->num_inputs ? 2 * looks : plan->num_inputs;
            continue;
        }
        const float *restrict column = plan->columns + (long)chosen * plan->stride;
        w->rounded[chosen] += by;
        for (int i = 0; i < plan->stride; i++) w->acc[i] += by * column[i];
    }
    return 0;
}

INLINE void set_room(const anneal_plan_t *plan, anneal_t *w, float factor) {
    for (int row = 0; row < plan->num_levels; row++) {
        float most = WIDEST * (plan->steps[plan->neuron[row]].length - 1), clearance = factor * plan->clearance[row];
        set_level(plan, w, row, w->level[row], factor > 1 ? larger(plan->clearance[row], smaller(clearance, most)) : clearance);
    }
}

/* Whether whole inputs with these levels were found: from inputs that keep further from the ends of their steps, as far as there are any. */
INLINE int make_whole(const anneal_plan_t *plan, anneal_t *w) {
    int found = 0;
    for (float factor = SHYEST; factor >= 1 && !found; factor /= 2) {
        memcpy(w->saved_x, w->x, sizeof(float) * plan->num_inputs);
        memcpy(w->saved_acc, w->acc, sizeof(float) * plan->stride);
        set_room(plan, w, factor);
        int near = follow(plan, w);
        if (!near) {
            memcpy(w->x, w->saved_x, sizeof(float) * plan->num_inputs);
            memcpy(w->acc, w->saved_acc, sizeof(float) * plan->stride);
            continue;
        }
        memcpy(w->saved_acc, w->acc, sizeof(float) * plan->stride);
        set_room(plan, w, 0);
        for (int k = 0; k < ATTEMPTS && !found; k++) found = mend(plan, w);
        memcpy(w->acc, w->saved_acc, sizeof(float) * plan->stride);
        break;
    }
    set_room(plan, w, 1);
    return found;
}

/* Up to three rows one level up or down; how many, and which from what. */
INLINE int propose(const anneal_plan_t *plan, anneal_t *w, int *rows, int *levels) {
    int wanted = 1 + (draw_share(w) < 0.5f) + (draw_share(w) < 0.2f), count = 0;
    for (int k = 0; k < wanted; k++) {
        int row = plan->open[draw_below(w, plan->num_open)], level = w->level[row] + (draw(w) >> 63 ? 1 : -1), again = 0;
        for (int i = 0; i < count; i++) again |= rows[i] == row;
        if (again || level < plan->lowest[row] || level > plan->highest[row]) continue;
        rows[count] = row, levels[count++] = w->level[row];
        set_level(plan, w, row, level, plan->clearance[row]);
    }
    return count;
}

INLINE void take_back(const anneal_plan_t *plan, anneal_t *w, const int *rows, const int *levels, int count) {
    for (int k = 0; k < count; k++) set_level(plan, w, rows[k], levels[k], plan->clearance[rows[k]]);
}

float anneal_score(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, const int *levels) {
    for (int row = 0; row < plan->num_levels; row++) set_level(plan, state, row, levels[row], 0);
    return score(plan, goal, state);
}

EVERY_TARGET
void anneal_begin(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, uint64_t seed) {
    int rows[LINKED], levels[LINKED], changed = 0;
    float sum = 0;
    state->random[0] = seed * 0x9E3779B97F4A7C15u + 1, state->random[1] = seed ^ 0xD1B54A32D192ED03u;
    for (int k = 0; k < 8; k++) draw(state);
    accumulate(plan, state->x, state->acc);
    for (int i = 0; i < plan->stride; i++) state->least[i] = -UNBOUNDED, state->most[i] = UNBOUNDED;
    for (int row = 0; row < plan->num_levels; row++) {
        int level = level_of(&plan->steps[plan->neuron[row]], state->acc[row]);
        level = level < plan->lowest[row] ? plan->lowest[row] : level > plan->highest[row] ? plan->highest[row] : level;
        set_level(plan, state, row, level, plan->clearance[row]);
    }
    for (int row = plan->num_levels; row < plan->num_rows; row++) state->most[row] = goal->fences[row - plan->num_levels];
    state->score = state->best = score(plan, goal, state);
    for (int k = 0; k < PROBES && plan->num_open; k++) {
        int count = propose(plan, state, rows, levels);
        float change = fabsf(score(plan, goal, state) - state->score);
        sum += change, changed += change > 0;
        take_back(plan, state, rows, levels, count);
    }
    state->scale = changed ? sum / (float)changed : 1;
}

EVERY_TARGET
int anneal_on(const anneal_plan_t *plan, const goal_t *goal, anneal_t *state, long moves, float temperature) {
    int rows[LINKED], levels[LINKED];
    for (long move = 0; move < moves && plan->num_open; move++) {
        int count = propose(plan, state, rows, levels);
        if (count == 0) continue;
        float after = score(plan, goal, state);
        if (after > state->score && draw_share(state) >= expf((state->score - after) / (temperature * state->scale))) {
            take_back(plan, state, rows, levels, count);
            continue;
        }
        memcpy(state->saved_x, state->x, sizeof(float) * plan->num_inputs);
        memcpy(state->old, state->acc, sizeof(float) * plan->stride);
        if (!follow(plan, state)) {
            memcpy(state->x, state->saved_x, sizeof(float) * plan->num_inputs);
            memcpy(state->acc, state->old, sizeof(float) * plan->stride);
            take_back(plan, state, rows, levels, count);
            continue;
        }
        state->score = after;
        state->best = smaller(state->best, after);
        if (after == 0 && make_whole(plan, state)) return 1;
    }
    return 0;
}
