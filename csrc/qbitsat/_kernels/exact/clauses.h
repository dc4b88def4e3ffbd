/* Loops of clauses.pyx. */
#ifndef QBITSAT_CLAUSES_H
#define QBITSAT_CLAUSES_H

#include <stdint.h>

/* Each clause names ranges of values that no point has all of. */
typedef struct {
    int32_t value, lo, hi;
} literal_t;

/* count clauses of up to most literals each, sizes[k] of clause k; branches: whose they are, -1 for all. watched: two literals of each, as six
   rows of value, lo, hi, value, lo, hi, stride apart; of a clause with fewer than two they are within all ranges. */
typedef struct {
    int count, most;
    int64_t stride;
    literal_t *literals; /* in any order */
    const int32_t *sizes, *branches;
    int32_t *watched;
} clauses_t;

/* One node: value >= at if above, value < at if not, is what a clause leaves; value -1: nothing. */
typedef struct {
    int64_t row, clause, value, at, above;
} cut_t;

/* For each value the smallest and the largest lower end that some of a few nodes have, and the same of upper ends. */
typedef struct {
    int32_t *least_lo, *most_lo, *least_hi, *most_hi;
} spread_t;

/* Clauses that may say something of some of these nodes, in order: how many. maybe, chosen: room for all of them. */
int clauses_near(const clauses_t *clauses, int nodes, int num_values, const int64_t *lo, const int64_t *hi, spread_t spread, uint8_t *maybe,
                 int32_t *chosen);

/* Cut the ranges of one node's values in place by the chosen clauses, at most `room` times; how often. */
int clauses_cut(const clauses_t *clauses, int num_chosen, const int32_t *chosen, int32_t branch, int64_t *lo, int64_t *hi, cut_t *cuts,
                int room);

#endif
