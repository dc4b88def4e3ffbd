/* Exact integer loops of _dual.pyx. */
#ifndef QBITSAT_DUAL_H
#define QBITSAT_DUAL_H

#include <stdint.h>

/* sum += multipliers . matrix, n_out rows of n_in; the caller guarantees that nothing leaves int64. */
void add_multiples(int64_t *sum, const int32_t *matrix, const int64_t *multipliers, long n_out, long n_in);

#endif
