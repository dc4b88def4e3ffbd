/* Clauses that come and go, their watches, and unit propagation, for lrat_loops.c.

   Literals are 2 * variable + (1 if negative). */
#ifndef QBITSAT_LRAT_CLAUSES_H
#define QBITSAT_LRAT_CLAUSES_H

#include "lrat.h"

#include <stdlib.h>
#include <string.h>

enum { LIVE = 1, CORE = 2, TAUTOLOGY = 4 };
enum { NONE = -1, FAULT = -2 };
enum { REST, FIRST }; /* two lists of watches for each literal: clauses of the core come first */

typedef struct {
    int32_t clause, other; /* `other` is some literal of the clause */
} watch_t;

typedef struct {
    watch_t *at;
    int32_t size, room;
} watches_t;

typedef struct {
    int32_t *at;
    int64_t size, room;
} ints_t;

struct lrat {
    int32_t num_vars, given, num_clauses, room; /* clauses of the CNF; and with the proof's */
    const uint8_t *proof;
    int64_t bytes, position; /* of the proof, read so far */
    int64_t visits;
    int state, backwards;
    ints_t literals, steps, roots;
    int64_t *start;         /* of each clause's literals */
    uint8_t *flags;         /* of each clause */
    int32_t *next, *table;  /* of clauses whose literals have the same hash */
    int64_t table_size;
    watches_t *watches[2];  /* of each literal */
    int8_t *value;          /* of each literal: 1 true, -1 false */
    int32_t *trail, *place, *reason; /* true literals in order; and where a variable's stands there, and the clause that made it true */
    int32_t trail_size, root_size, head[2], rest_at;
    uint8_t *needed;        /* root variables that a hint names; 2 if false, once they are a step */
    int32_t *mark, now;     /* of literals, or of variables */
    int32_t conflict;
    ints_t hints, chain;
    ints_t out;             /* from the last step to the first: hints from last to first, their number, the step */
    int32_t *number;        /* of clauses and then of root literals: what they are called in the result */
};

static int reserve(ints_t *a, int64_t more) {
    if (a->size + more > a->room) {
        int64_t room = (a->size + more) * 3 / 2 + 1024;
        int32_t *at = realloc(a->at, room * sizeof *at);
        if (!at) return 0;
        a->at = at;
        a->room = room;
    }
    return 1;
}

static int push(ints_t *a, int32_t entry) {
    if (!reserve(a, 1)) return 0;
    a->at[a->size++] = entry;
    return 1;
}

static int watch(lrat_t *t, int32_t literal, int32_t clause, int32_t other) {
    watches_t *w = &t->watches[t->flags[clause] & CORE ? FIRST : REST][literal];
    if (w->size == w->room) {
        int32_t room = w->room * 2 + 4;
        watch_t *at = realloc(w->at, room * sizeof *at);
        if (!at) return 0;
        w->at = at;
        w->room = room;
    }
    w->at[w->size++] = (watch_t){clause, other};
    return 1;
}

static void unwatch(lrat_t *t, int32_t literal, int32_t clause) {
    watches_t *w = &t->watches[t->flags[clause] & CORE ? FIRST : REST][literal];
    for (int32_t i = 0; i < w->size; i++)
        if (w->at[i].clause == clause) {
            w->at[i] = w->at[--w->size];
            return;
        }
}

static int64_t size_of(const lrat_t *t, int32_t clause) {
    return t->start[clause + 1] - t->start[clause];
}

/* --- the store --- */

static uint32_t hash_of(const int32_t *literals, int64_t size) {
    uint32_t sum = 0, mixed = 0;
    for (int64_t k = 0; k < size; k++) {
        uint32_t h = (uint32_t)literals[k] * 2654435761u;
        sum += h;
        mixed ^= h ^ h >> 15;
    }
    return sum * 31 + mixed;
}

/* The literals behind the last clause become one, without repetitions. */
static int store(lrat_t *t, int64_t size) {
    if (t->num_clauses + 2 > t->room) {
        if (t->num_clauses > INT32_MAX - t->num_vars - 1024 - t->num_clauses / 2) return 0;
        int32_t room = t->num_clauses + t->num_clauses / 2 + 1024;
        int64_t *start = realloc(t->start, room * sizeof *start);
        if (start) t->start = start;
        uint8_t *flags = realloc(t->flags, room * sizeof *flags);
        if (flags) t->flags = flags;
        int32_t *next = realloc(t->next, room * sizeof *next);
        if (next) t->next = next;
        if (!start || !flags || !next) return 0;
        t->room = room;
    }
    int32_t clause = t->num_clauses++, *literals = t->literals.at + t->literals.size;
    int64_t kept = 0;
    t->flags[clause] = 0;
    t->now++;
    for (int64_t k = 0; k < size; k++) {
        if (t->mark[literals[k]] == t->now) continue;
        t->mark[literals[k]] = t->now;
        if (t->mark[literals[k] ^ 1] == t->now) t->flags[clause] |= TAUTOLOGY;
        literals[kept++] = literals[k];
    }
    t->start[clause] = t->literals.size;
    t->literals.size += kept;
    t->start[clause + 1] = t->literals.size;
    return 1;
}

/* A table of twice the clauses that there are, filled anew when they have doubled. */
static int enter(lrat_t *t, int32_t clause) {
    int32_t from = clause;
    if (t->num_clauses > t->table_size / 2) {
        int64_t size = 4 * (int64_t)t->num_clauses + 1024;
        int32_t *table = realloc(t->table, size * sizeof *table);
        if (!table) return 0;
        memset(table, 0xff, size * sizeof *table);
        t->table = table;
        t->table_size = size;
        from = 0;
    }
    for (; from <= clause; from++) {
        int32_t *slot = &t->table[hash_of(t->literals.at + t->start[from], size_of(t, from)) % t->table_size];
        t->next[from] = *slot;
        *slot = from;
    }
    return 1;
}

/* The last live clause with the literals that are marked now; NONE if there is none. */
static int32_t find(const lrat_t *t, const int32_t *literals, int64_t size) {
    for (int32_t c = t->table[hash_of(literals, size) % t->table_size]; c != NONE; c = t->next[c]) {
        if (!(t->flags[c] & LIVE) || size_of(t, c) != size) continue;
        int64_t k = t->start[c];
        while (k < t->start[c + 1] && t->mark[t->literals.at[k]] == t->now) k++;
        if (k == t->start[c + 1]) return c;
    }
    return NONE;
}

/* --- propagation --- */

static void assign(lrat_t *t, int32_t literal, int32_t reason) {
    t->value[literal] = 1;
    t->value[literal ^ 1] = -1;
    t->reason[literal >> 1] = reason;
    t->place[literal >> 1] = t->trail_size;
    t->trail[t->trail_size++] = literal;
}

/* Back to the first `size` literals of the trail, all of which have been propagated. */
static void undo(lrat_t *t, int32_t size) {
    while (t->trail_size > size) {
        int32_t literal = t->trail[--t->trail_size];
        t->value[literal] = t->value[literal ^ 1] = 0;
    }
    t->head[REST] = t->head[FIRST] = size;
    t->rest_at = 0;
}

/* Visit clauses that watch a literal which became false, from number `*at` on; those of the rest up to the first that gives a literal.
   Returns the clause that is false, NONE or FAULT. */
static int32_t visit(lrat_t *t, int32_t literal, int kind, int32_t *at) {
    watches_t *w = &t->watches[kind][literal];
    int32_t i = *at, trail_size = t->trail_size;
    while (i < w->size && (kind == FIRST || trail_size == t->trail_size)) {
        int32_t clause = w->at[i].clause;
        t->visits--;
        if (t->value[w->at[i].other] > 0) {
            i++;
            continue;
        }
        int32_t *lits = t->literals.at + t->start[clause], first = lits[0] ^ lits[1] ^ literal;
        int64_t size = size_of(t, clause), k = 2;
        lits[0] = first;
        lits[1] = literal;
        if (t->value[first] <= 0)
            while (k < size && t->value[lits[k]] < 0) k++;
        else
            k = size;
        if (k < size) {
            lits[1] = lits[k];
            lits[k] = literal;
            if (!watch(t, lits[1], clause, first)) return FAULT;
            w->at[i] = w->at[--w->size];
            continue;
        }
        if (t->value[first] < 0) return clause;
        w->at[i++].other = first;
        if (!t->value[first]) assign(t, first, clause);
    }
    *at = i;
    return NONE;
}

static int32_t propagate(lrat_t *t) {
    for (;;) {
        int kind = t->head[FIRST] < t->trail_size ? FIRST : REST;
        if (t->head[kind] == t->trail_size) return NONE;
        int32_t literal = t->trail[t->head[kind]] ^ 1, start = 0, *at = kind == REST ? &t->rest_at : &start;
        int32_t conflict = visit(t, literal, kind, at);
        if (conflict != NONE) return conflict;
        if (*at == t->watches[kind][literal].size) {
            *at = 0;
            t->head[kind]++;
        }
    }
}

/* How long a literal will not be false, going backwards. */
static int32_t rank(const lrat_t *t, int32_t literal) {
    return t->value[literal] < 0 ? t->place[literal >> 1] : INT32_MAX;
}

/* Watch the two literals that are best for it; they come first. */
static int attach(lrat_t *t, int32_t clause) {
    int32_t *lits = t->literals.at + t->start[clause];
    int64_t size = size_of(t, clause);
    t->flags[clause] |= LIVE;
    if (size < 2 || t->flags[clause] & TAUTOLOGY) return 1;
    for (int place = 0; place < 2; place++) {
        int64_t best = place;
        for (int64_t k = place + 1; k < size; k++)
            if (rank(t, lits[k]) > rank(t, lits[best])) best = k;
        int32_t literal = lits[best];
        lits[best] = lits[place];
        lits[place] = literal;
    }
    return watch(t, lits[0], clause, lits[1]) && watch(t, lits[1], clause, lits[0]);
}

static void detach(lrat_t *t, int32_t clause) {
    t->flags[clause] &= ~LIVE;
    if (size_of(t, clause) < 2 || t->flags[clause] & TAUTOLOGY) return;
    unwatch(t, t->literals.at[t->start[clause]], clause);
    unwatch(t, t->literals.at[t->start[clause] + 1], clause);
}

#endif
