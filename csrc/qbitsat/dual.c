#include "dual.h"

#include "vector.h"

/* Multipliers of 32 bits let vector instructions multiply into 64; others take the plain loop. */
EVERY_TARGET
void add_multiples(int64_t *restrict sum, const int32_t *restrict matrix, const int64_t *multipliers, long n_out, long n_in) {
    for (long i = 0; i < n_out; i++) {
        int64_t wide = multipliers[i];
        int32_t narrow = (int32_t)wide;
        const int32_t *restrict row = matrix + i * n_in;
        if (wide == 0) continue;
        if (narrow == wide)
            for (long j = 0; j < n_in; j++) sum[j] += (int64_t)narrow * row[j];
        else
            for (long j = 0; j < n_in; j++) sum[j] += wide * row[j];
    }
}
