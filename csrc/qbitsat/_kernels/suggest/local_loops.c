#include "local.h"

#include <math.h>
#include <string.h>

#include "step.h"

/* Moves that the mean change of the score is measured on. */
#define PROBES 200
/* A move of single inputs takes up to so many, a block is up to so many wide and high. */
#define SINGLES 3
#define WIDEST 5
#define UNBOUNDED 1e300

enum { MOVE_LOW, MOVE_HIGH, MOVE_RANDOM, MOVE_STEP, MOVES };

/* xorshift128+ */
INLINE uint64_t draw(local_t *w) {
    uint64_t a = w->random[0], b = w->random[1];
    w->random[0] = b;
    a ^= a << 23;
    w->random[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return w->random[1] + b;
}

INLINE double draw_share(local_t *w) { return (double)(draw(w) >> 11) * (1.0 / 9007199254740992.0); }
INLINE int draw_below(local_t *w, int n) { return (int)((draw(w) >> 33) % (uint64_t)n); }

/* acc += change * column; both sums are accumulators of values in their ranges, so nothing leaves int64. */
INLINE void add_column(int64_t *restrict acc, const int32_t *restrict column, int64_t change, int size) {
    if (change == (int32_t)change) {
        int32_t narrow = (int32_t)change;
        for (int c = 0; c < size; c++) acc[c] += (int64_t)column[c] * narrow;
        return;
    }
    for (int c = 0; c < size; c++) acc[c] += (int64_t)column[c] * change;
}

/* Give a value another number, and what reads it. */
INLINE void set_value(const local_plan_t *plan, local_t *w, int value, int64_t number) {
    int64_t change = number - w->values[value];
    if (!change) return;
    w->changed[w->num_changed] = value, w->before[w->num_changed++] = w->values[value];
    w->values[value] = number;
    for (int64_t r = plan->starts[value]; r < plan->starts[value + 1]; r++) {
        int k = plan->readings[r].cluster;
        const cluster_t *cluster = &plan->clusters[k];
        if (!w->marks[k]) {
            w->marks[k] = 1;
            w->touched[plan->first_cluster[cluster->layer] + w->counts[cluster->layer]++] = k;
            memcpy(w->saved + cluster->neuron, w->acc + cluster->neuron, sizeof(int64_t) * cluster->size);
        }
        add_column(w->acc + cluster->neuron, plan->weights + plan->readings[r].column, change, cluster->size);
    }
}

/* Outputs of the accumulators that changed, layer by layer, and what follows from them. */
INLINE void run_layers(const local_plan_t *plan, local_t *w) {
    for (int l = 0; l < plan->layers->num_layers; l++) {
        const layer_t *layer = &plan->layers->layers[l];
        for (int t = 0; t < w->counts[l]; t++) {
            const cluster_t *cluster = &plan->clusters[w->touched[plan->first_cluster[l] + t]];
            for (int n = cluster->neuron; n < cluster->neuron + cluster->size; n++)
                if (w->acc[n] != w->saved[n])
                    set_value(plan, w, plan->layers->num_inputs + n, step_apply(step_of(layer, n - layer->neuron), w->acc[n]));
        }
    }
}

/* Keep a move, or take it back. */
INLINE void end_move(const local_plan_t *plan, local_t *w, int kept) {
    for (int k = w->num_changed - 1; !kept && k >= 0; k--) w->values[w->changed[k]] = w->before[k];
    w->num_changed = 0;
    for (int l = 0; l < plan->layers->num_layers; l++) {
        for (int t = 0; t < w->counts[l]; t++) {
            int k = w->touched[plan->first_cluster[l] + t];
            const cluster_t *cluster = &plan->clusters[k];
            w->marks[k] = 0;
            if (!kept) memcpy(w->acc + cluster->neuron, w->saved + cluster->neuron, sizeof(int64_t) * cluster->size);
        }
        w->counts[l] = 0;
    }
}

/* The step of a value's neuron; NULL for an input. */
INLINE const step_t *step_at(const local_plan_t *plan, int64_t value) {
    int neuron = (int)value - plan->layers->num_inputs, l = 0;
    if (neuron < 0) return NULL;
    while (l + 1 < plan->layers->num_layers && plan->layers->layers[l + 1].neuron <= neuron) l++;
    return step_of(&plan->layers->layers[l], neuron - plan->layers->layers[l].neuron);
}

/* How many units a term can go in the direction that helps, and what the first of them costs: the share of a step that the accumulator has
   left. */
INLINE double first_unit(const local_plan_t *plan, const local_t *w, int64_t value, int64_t coefficient, int64_t *room) {
    const step_t *step = step_at(plan, value);
    int64_t now = w->values[value];
    if (step == NULL) {
        *room = coefficient > 0 ? now - plan->lo[value] : plan->hi[value] - now;
        return 1;
    }
    int neuron = (int)value - plan->layers->num_inputs;
    *room = coefficient > 0 ? now - step->lo : step->hi - now;
    if (*room <= 0) return 1;
    double acc = (double)w->acc[neuron];
    double way = coefficient > 0 ? acc - (double)step_first(step, now) + 1 : (double)step_first(step, now + 1) - acc;
    return way / plan->length[neuron];
}

/* The output steps that a violated inequality's values have to go until it holds, the cheapest ones first. */
INLINE double deficit(const local_plan_t *plan, const atom_t *atom, local_t *w) {
    int64_t sum = -atom->bound;
    for (int t = 0; t < atom->size; t++) sum += atom->coefficients[t] * w->values[atom->values[t]], w->taken[t] = 0;
    double excess = (double)sum, cost = 0;
    while (excess > 0) {
        double best = UNBOUNDED;
        int chosen = -1;
        int64_t left = 0;
        for (int t = 0; t < atom->size; t++) {
            int64_t room;
            double unit = first_unit(plan, w, atom->values[t], atom->coefficients[t], &room);
            /* beyond its first unit a term takes all that it can or all that is needed: so many are all */
            if (w->taken[t] >= room || w->taken[t] == INT32_MAX) continue;
            double price = (w->taken[t] ? 1 : unit) / fabs((double)atom->coefficients[t]);
            if (price < best) best = price, chosen = t, left = room - w->taken[t];
        }
        if (chosen < 0) return cost + excess;
        /* further units of a term cost the same, and no other term gets cheaper */
        double size = fabs((double)atom->coefficients[chosen]), needed = ceil(excess / size);
        double units = !w->taken[chosen] || needed < 1 ? 1 : needed < (double)left ? needed : (double)left;
        cost += best * size * units, excess -= size * units;
        w->taken[chosen] = w->taken[chosen] + units < INT32_MAX ? (int32_t)(w->taken[chosen] + units) : INT32_MAX;
    }
    return cost;
}

INLINE double score(const local_plan_t *plan, const local_goal_t *goal, local_t *w) {
    double total = 0;
    for (int a = 0; a < goal->num_atoms; a++) total += deficit(plan, goal->atoms[a], w);
    return total;
}

INLINE void set_input(const local_plan_t *plan, local_t *w, int input, int64_t number) {
    if (w->num_changed < w->most_inputs) set_value(plan, w, input, clamp(number, plan->lo[input], plan->hi[input]));
}

/* Another number for an input, and the same change for its partners if they move together. */
INLINE void move_input(const local_plan_t *plan, local_t *w, int input, int kind, int together) {
    int64_t lo = plan->lo[input], hi = plan->hi[input], now = w->values[input], to = lo;
    if (lo == hi) return;
    if (kind == MOVE_HIGH) to = hi;
    if (kind == MOVE_RANDOM) to = lo + (int64_t)(draw_share(w) * (double)(hi - lo + 1));
    if (kind == MOVE_STEP) to = now + (draw(w) & 1 ? 1 : -1);
    for (int other = plan->partner[input]; together && other != input; other = plan->partner[other])
        set_input(plan, w, other, w->values[other] + clamp(to, lo, hi) - now);
    set_input(plan, w, input, to);
}

/* A block of an image around a free input, of one plane or of all. */
INLINE void move_block(const local_plan_t *plan, local_t *w, int kind, int together) {
    int input = plan->free[draw_below(w, plan->num_free)];
    const image_t *image = &plan->images[plan->image_of[input]];
    int at = input - image->first, plane = at % image->depth, x = at / image->depth % image->width, y = at / image->depth / image->width;
    int size = 1 + draw_below(w, WIDEST), all = image->depth > 1 && draw(w) & 1;
    int top = y - draw_below(w, size), left = x - draw_below(w, size);
    for (int i = top < 0 ? 0 : top; i < top + size && i < image->height; i++)
        for (int j = left < 0 ? 0 : left; j < left + size && j < image->width; j++)
            for (int d = all ? 0 : plane; d < (all ? image->depth : plane + 1); d++)
                move_input(plan, w, image->first + (i * image->width + j) * image->depth + d, kind, together);
}

/* Values after a random move that is neither kept nor taken back yet. */
INLINE void move(const local_plan_t *plan, local_t *w) {
    int kind = draw_below(w, MOVES), together = (int)(draw(w) & 1);
    if (draw_below(w, 3)) {
        move_block(plan, w, kind, together);
    } else {
        int count = 1 + draw_below(w, SINGLES);
        for (int k = 0; k < count; k++) move_input(plan, w, plan->free[draw_below(w, plan->num_free)], kind, together);
    }
    run_layers(plan, w);
}

INLINE void keep_best(const local_plan_t *plan, local_t *w) {
    if (!(w->score < w->best)) return;
    w->best = w->score;
    memcpy(w->best_x, w->values, sizeof(int64_t) * plan->layers->num_inputs);
}

EVERY_TARGET
void local_set(const local_plan_t *plan, const local_goal_t *goal, local_t *w, const int64_t *x) {
    for (int i = 0; i < plan->layers->num_inputs; i++) set_input(plan, w, i, x[i]);
    run_layers(plan, w);
    end_move(plan, w, 1);
    w->score = score(plan, goal, w);
}

EVERY_TARGET
void local_begin(const local_plan_t *plan, const local_goal_t *goal, local_t *w, uint64_t seed) {
    w->random[0] = seed * 2 + 1, w->random[1] = ~seed;
    for (int k = 0; k < 8; k++) draw(w);
    w->best = UNBOUNDED;
    w->score = score(plan, goal, w);
    keep_best(plan, w);
    double sum = 0;
    int count = 0;
    for (int k = 0; k < PROBES && plan->num_free; k++) {
        move(plan, w);
        double change = fabs(score(plan, goal, w) - w->score);
        end_move(plan, w, 0);
        if (change > 0) sum += change, count++;
    }
    w->scale = count ? sum / count : 1;
}

EVERY_TARGET
int local_on(const local_plan_t *plan, const local_goal_t *goal, local_t *w, long moves, double temperature) {
    if (w->score == 0) return 1;
    for (long k = 0; k < moves && plan->num_free; k++) {
        move(plan, w);
        if (!w->num_changed) continue;
        double next = score(plan, goal, w), rise = next - w->score;
        int kept = rise <= 0 || draw_share(w) < exp(-rise / (temperature * w->scale));
        end_move(plan, w, kept);
        if (!kept) continue;
        w->score = next;
        keep_best(plan, w);
        if (next == 0) return 1;
    }
    return 0;
}
