/* A proof in binary DRUP, checked backwards from its empty clause, so that only what it needs is looked at; see lrat.pyx.

   Forwards, clauses are added and deleted as the proof says, and what follows from them by unit propagation, the root, is kept, until some
   clause is false. Backwards, each step is undone, and a clause that was needed is checked: with its literals false, propagation must make
   some clause false; the clauses that took part are needed in turn. What is needed already (CORE) is propagated first, and makes the proof
   short. A root literal is proved once, as a clause of its own, right where it followed.

   What the root says at a step of the proof is closed under propagation, and undone as it grew;
   so a clause may watch a false literal if its other one is true, or the two that became false last. */
#include "lrat_clauses.h"

/* --- forwards --- */

/* The clause that is false once the last one is added; NONE or FAULT. */
static int32_t add(lrat_t *t) {
    int32_t clause = t->num_clauses - 1, *lits = t->literals.at + t->start[clause];
    int64_t size = size_of(t, clause);
    if (!enter(t, clause) || !attach(t, clause)) return FAULT;
    if (t->flags[clause] & TAUTOLOGY) return NONE;
    if (!size || t->value[lits[0]] < 0) return clause;
    if (!t->value[lits[0]] && (size == 1 || t->value[lits[1]] < 0)) {
        assign(t, lits[0], clause);
        return propagate(t);
    }
    return NONE;
}

/* Read literals behind the last clause; their number, or minus a state. */
static int64_t read_step(lrat_t *t) {
    int64_t size = 0;
    uint64_t literal = 0;
    int shift = 0;
    while (t->position < t->bytes) {
        uint8_t byte = t->proof[t->position++];
        literal |= (uint64_t)(byte & 0x7F) << shift;
        shift += 7;
        if (byte & 0x80) {
            if (shift > 28) return -LRAT_VARIABLE;
            continue;
        }
        if (!literal) return size;
        if (literal < 2 || literal >> 1 > (uint64_t)t->num_vars) return -LRAT_VARIABLE;
        if (!reserve(&t->literals, size + 1)) return -LRAT_NO_MEMORY;
        t->literals.at[t->literals.size + size++] = (int32_t)literal;
        literal = 0;
        shift = 0;
    }
    return -LRAT_CUT;
}

/* One step of the proof. Steps are noted as the clause that is added, or minus one less the clause that is deleted. */
static int forward(lrat_t *t) {
    if (t->position == t->bytes) return LRAT_OPEN;
    uint8_t kind = t->proof[t->position++];
    if (kind != 'a' && kind != 'd') return LRAT_CUT;
    int64_t size = read_step(t);
    if (size < 0) return (int)-size;
    if (kind == 'a' && !size) return LRAT_MORE; /* claims a clause that is false, which there would be */
    int32_t roots = t->trail_size;
    if (!store(t, size)) return LRAT_NO_MEMORY;
    if (kind == 'a') {
        if (!push(&t->steps, t->num_clauses - 1) || !push(&t->roots, roots)) return LRAT_NO_MEMORY;
        t->conflict = add(t);
        return t->conflict == FAULT ? LRAT_NO_MEMORY : LRAT_MORE;
    }
    int32_t last = --t->num_clauses;
    t->literals.size = t->start[last];
    int32_t clause = find(t, t->literals.at + t->start[last], t->start[last + 1] - t->start[last]);
    if (clause == NONE) return LRAT_MORE;
    /* What made a root literal true is kept, as in drat-trim: solvers delete it and yet rely on the literal. */
    int32_t first = t->literals.at[t->start[clause]];
    if (t->value[first] > 0 && t->reason[first >> 1] == clause) return LRAT_MORE;
    detach(t, clause);
    return push(&t->steps, -1 - clause) && push(&t->roots, roots) ? LRAT_MORE : LRAT_NO_MEMORY;
}

/* --- backwards --- */

static int need(lrat_t *t, int32_t clause) {
    if (t->flags[clause] & CORE) return 1;
    int watched = t->flags[clause] & LIVE && size_of(t, clause) > 1;
    if (watched) detach(t, clause);
    t->flags[clause] |= CORE;
    if (!watched) return 1;
    int32_t *lits = t->literals.at + t->start[clause];
    t->flags[clause] |= LIVE;
    return watch(t, lits[0], clause, lits[1]) && watch(t, lits[1], clause, lits[0]);
}

/* A hint that a root variable has its value: a clause of one literal, or what will be proved where it followed. */
static int hint_root(lrat_t *t, int32_t variable) {
    int32_t reason = t->reason[variable];
    if (size_of(t, reason) == 1) return need(t, reason) && push(&t->hints, reason);
    t->needed[variable] = 1;
    return push(&t->hints, t->num_clauses + variable);
}

/* Root literals of a clause become hints, and the others are marked, each once. */
static int see(lrat_t *t, int32_t clause) {
    for (int64_t k = t->start[clause]; k < t->start[clause + 1]; k++) {
        int32_t variable = t->literals.at[k] >> 1;
        if (t->mark[variable] == t->now) continue;
        t->mark[variable] = t->now;
        if (t->place[variable] < t->root_size && !hint_root(t, variable)) return 0;
    }
    return 1;
}

/* Write down a step with its hints. */
static int emit(lrat_t *t, int32_t step) {
    int64_t size = t->hints.size;
    if (!reserve(&t->out, size + 2)) return 0;
    while (size) t->out.at[t->out.size++] = t->hints.at[--size];
    t->out.at[t->out.size++] = (int32_t)t->hints.size;
    t->out.at[t->out.size++] = step;
    t->hints.size = 0;
    return 1;
}

/* Hints for a clause of which some are false: root literals, then reasons in the order of the trail, then it. */
static int explain(lrat_t *t, int32_t step, int32_t conflict) {
    t->chain.size = 0;
    if (!see(t, conflict)) return 0;
    for (int32_t i = t->trail_size - 1; i >= t->root_size; i--) {
        int32_t variable = t->trail[i] >> 1, reason = t->reason[variable];
        if (t->mark[variable] == t->now && reason != NONE && !(see(t, reason) && push(&t->chain, reason))) return 0;
    }
    while (t->chain.size) {
        int32_t reason = t->chain.at[--t->chain.size];
        if (!need(t, reason) || !push(&t->hints, reason)) return 0;
    }
    return need(t, conflict) && push(&t->hints, conflict) && emit(t, step);
}

/* A clause of the proof that is needed: with all its literals false, some clause must be. */
static int check(lrat_t *t, int32_t clause) {
    t->root_size = t->trail_size;
    t->now++;
    for (int64_t k = t->start[clause]; k < t->start[clause + 1]; k++) {
        int32_t literal = t->literals.at[k];
        if (t->value[literal] > 0) {
            undo(t, t->root_size);
            return hint_root(t, literal >> 1) && emit(t, clause) ? LRAT_MORE : LRAT_NO_MEMORY;
        }
        t->mark[literal >> 1] = t->value[literal] ? t->now : t->mark[literal >> 1];
        if (!t->value[literal]) assign(t, literal ^ 1, NONE);
    }
    int32_t conflict = propagate(t);
    if (conflict == NONE) return LRAT_NOT_RUP;
    int fine = conflict != FAULT && explain(t, clause, conflict);
    undo(t, t->root_size);
    return fine ? LRAT_MORE : LRAT_NO_MEMORY;
}

/* Back to fewer root literals; those that are needed become steps. */
static int undo_roots(lrat_t *t, int32_t size) {
    for (int32_t i = t->trail_size - 1; i >= size; i--) {
        int32_t variable = t->trail[i] >> 1;
        if (!t->needed[variable]) continue;
        int32_t reason = t->reason[variable];
        for (int64_t k = t->start[reason]; k < t->start[reason + 1]; k++) {
            int32_t other = t->literals.at[k] >> 1;
            if (other != variable && !hint_root(t, other)) return 0;
        }
        if (!need(t, reason) || !push(&t->hints, reason) || !emit(t, t->num_clauses + variable)) return 0;
        t->needed[variable] = 1 + (t->trail[i] & 1);
    }
    undo(t, size);
    return 1;
}

/* Undo one step of the proof, the last of all at the end. */
static int backward(lrat_t *t) {
    if (!t->steps.size) {
        t->number = malloc(((size_t)(t->num_clauses - t->given) + t->num_vars + 1) * sizeof *t->number);
        return t->number && undo_roots(t, 0) ? LRAT_DONE : LRAT_NO_MEMORY;
    }
    int32_t step = t->steps.at[--t->steps.size], roots = t->roots.at[--t->roots.size];
    if (step < 0) return attach(t, -1 - step) ? LRAT_MORE : LRAT_NO_MEMORY;
    detach(t, step);
    if (!undo_roots(t, roots)) return LRAT_NO_MEMORY;
    return t->flags[step] & CORE ? check(t, step) : LRAT_MORE;
}

int lrat_run(lrat_t *t, int64_t visits) {
    t->visits = visits;
    while (t->state == LRAT_MORE && t->visits-- > 0) {
        if (t->backwards)
            t->state = backward(t);
        else if (t->conflict == NONE)
            t->state = forward(t);
        else {
            t->backwards = 1;
            t->root_size = t->roots.size ? t->roots.at[t->roots.size - 1] : 0; /* what followed last goes into the last step */
            t->now++;
            /* The CNF's own empty clause needs no step. */
            if (size_of(t, t->conflict) && !explain(t, t->num_clauses, t->conflict)) t->state = LRAT_NO_MEMORY;
        }
    }
    return t->state;
}

/* --- the result --- */

/* The step that ends at out[*at], going to its hints. */
static int32_t take_step(const lrat_t *t, int64_t *at, int32_t *hints) {
    int32_t step = t->out.at[--*at];
    *hints = t->out.at[--*at];
    return step;
}

static int64_t literals_of(const lrat_t *t, int32_t step) {
    return step < t->num_clauses ? size_of(t, step) : step > t->num_clauses;
}

/* Those literals, as far as their variables go; `unit` is room for one. */
static const int32_t *variables_of(const lrat_t *t, int32_t step, int32_t *unit) {
    *unit = 2 * (step - t->num_clauses);
    return step < t->num_clauses ? t->literals.at + t->start[step] : unit;
}

int64_t lrat_count(const lrat_t *t, int what) {
    int64_t counts[3] = {0, 0, 0};
    int32_t hints;
    for (int64_t at = t->out.size; at; at -= hints) {
        counts[LRAT_LITERALS] += literals_of(t, take_step(t, &at, &hints));
        counts[LRAT_SIZES] += 2;
        counts[LRAT_HINTS] += hints;
    }
    return counts[what];
}

static int32_t dimacs(int32_t literal) {
    return literal & 1 ? -(literal >> 1) : literal >> 1;
}

static int32_t number_of(const lrat_t *t, int32_t clause) {
    return clause < t->given ? clause : t->number[clause - t->given];
}

/* A heap of hints, those of clauses with small numbers on top. */
typedef struct {
    int32_t *at, size;
    const int32_t *numbers;
} heap_t;

static void heap_push(heap_t *heap, int32_t hint) {
    int32_t i = heap->size++;
    for (; i && heap->numbers[heap->at[(i - 1) / 2]] > heap->numbers[hint]; i = (i - 1) / 2) heap->at[i] = heap->at[(i - 1) / 2];
    heap->at[i] = hint;
}

static int32_t heap_pop(heap_t *heap) {
    int32_t top = heap->at[0], hint = heap->at[--heap->size], i = 0;
    for (int32_t child = 1; child < heap->size; i = child, child = 2 * i + 1) {
        if (child + 1 < heap->size && heap->numbers[heap->at[child + 1]] < heap->numbers[heap->at[child]]) child++;
        if (heap->numbers[heap->at[child]] >= heap->numbers[hint]) break;
        heap->at[i] = heap->at[child];
    }
    heap->at[i] = hint;
    return top;
}

/* The numbers of a step's hints, each time the smallest of those whose clauses have one literal left: such proofs pack better. Hint k is hints[-k],
   and no clause is named before the step that adds it, so that numbers are known. */
static int order(lrat_t *t, int32_t step, const int32_t *hints, int32_t count, int32_t *target) {
    t->chain.size = t->hints.size = 0;
    if (!reserve(&t->chain, 4 * (int64_t)count)) return 0;
    int32_t *numbers = t->chain.at, *waits = numbers + count, *users = waits + count, unit;
    heap_t heap = {users + count, 0, numbers};
    t->now++;
    const int32_t *lits = variables_of(t, step, &unit);
    for (int64_t k = 0; k < literals_of(t, step); k++) {
        t->mark[lits[k] >> 1] = t->now;
        t->place[lits[k] >> 1] = NONE;
    }
    for (int32_t k = 0; k < count; k++) {
        int32_t made = 0;
        numbers[k] = number_of(t, hints[-k]);
        waits[k] = 0;
        users[k] = NONE;
        lits = variables_of(t, hints[-k], &unit);
        for (int64_t j = 0; j < literals_of(t, hints[-k]); j++) {
            int32_t variable = lits[j] >> 1, maker = t->place[variable];
            if (t->mark[variable] != t->now)
                made = variable;
            else if (maker != NONE) {
                if (!push(&t->hints, k) || !push(&t->hints, users[maker])) return 0;
                users[maker] = (int32_t)t->hints.size - 2;
                waits[k]++;
            }
        }
        t->mark[made] = t->now;
        t->place[made] = k;
        if (!waits[k] && k < count - 1) heap_push(&heap, k);
    }
    while (heap.size) {
        int32_t k = heap_pop(&heap);
        *target++ = numbers[k];
        for (int32_t edge = users[k]; edge != NONE; edge = t->hints.at[edge + 1])
            if (!--waits[t->hints.at[edge]] && t->hints.at[edge] < count - 1) heap_push(&heap, t->hints.at[edge]);
    }
    *target = numbers[count - 1];
    return 1;
}

int lrat_copy(lrat_t *t, int what, int32_t *target) {
    int32_t hints, number = t->given;
    for (int64_t at = t->out.size; at; at -= hints) {
        int32_t step = take_step(t, &at, &hints);
        if (what == LRAT_SIZES) {
            *target++ = (int32_t)literals_of(t, step);
            *target++ = hints;
        } else if (what == LRAT_HINTS) {
            if (!order(t, step, t->out.at + at - 1, hints, target)) return 0;
            target += hints;
            t->number[step - t->given] = number++;
        } else if (step < t->num_clauses)
            for (int64_t k = t->start[step]; k < t->start[step + 1]; k++) *target++ = dimacs(t->literals.at[k]);
        else if (step > t->num_clauses)
            *target++ = t->needed[step - t->num_clauses] == 2 ? t->num_clauses - step : step - t->num_clauses;
    }
    return 1;
}

/* --- from begin to end --- */

lrat_t *lrat_new(int32_t num_vars, const int32_t *clauses, int64_t size, const uint8_t *proof, int64_t bytes) {
    lrat_t *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    size_t n = (size_t)num_vars + 1;
    t->num_vars = num_vars;
    t->proof = proof;
    t->bytes = bytes;
    t->conflict = NONE;
    t->watches[REST] = calloc(2 * n, sizeof(watches_t));
    t->watches[FIRST] = calloc(2 * n, sizeof(watches_t));
    t->value = calloc(2 * n, 1);
    t->mark = calloc(2 * n, sizeof(int32_t));
    t->trail = calloc(n, sizeof(int32_t));
    t->place = calloc(n, sizeof(int32_t));
    t->reason = calloc(n, sizeof(int32_t));
    t->needed = calloc(n, 1);
    int fine = t->watches[REST] && t->watches[FIRST] && t->value && t->mark && t->trail && t->place && t->reason && t->needed;
    for (int64_t k = 0, begin = 0; fine && k < size; k++) {
        if (clauses[k]) continue;
        fine = reserve(&t->literals, k - begin);
        for (int64_t j = begin; fine && j < k; j++) {
            int32_t literal = clauses[j];
            t->literals.at[t->literals.size + j - begin] = literal < 0 ? -2 * literal + 1 : 2 * literal;
        }
        fine = fine && store(t, k - begin);
        if (fine && t->conflict == NONE) t->conflict = add(t);
        fine = fine && t->conflict != FAULT;
        begin = k + 1;
    }
    t->given = t->num_clauses;
    if (fine) return t;
    lrat_free(t);
    return NULL;
}

void lrat_free(lrat_t *t) {
    for (int kind = 0; kind < 2; kind++)
        if (t->watches[kind]) {
            for (int64_t k = 0; k < 2 * ((int64_t)t->num_vars + 1); k++) free(t->watches[kind][k].at);
            free(t->watches[kind]);
        }
    void *blocks[] = {t->literals.at, t->steps.at, t->roots.at, t->hints.at, t->chain.at, t->out.at, t->start,  t->flags, t->next,
                      t->table,       t->value,    t->trail,    t->place,    t->reason,   t->needed, t->mark,   t->number};
    for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) free(blocks[k]);
    free(t);
}
