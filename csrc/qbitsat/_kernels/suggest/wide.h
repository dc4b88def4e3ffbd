/* Sixteen floats side by side: one of each of as many nodes, or objectives, that one loop is about. All inlined into the kernels. */
#ifndef QBITSAT_WIDE_H
#define QBITSAT_WIDE_H

#include <math.h>

#include "vector.h"

enum { WIDE = 16 };

#ifdef __GNUC__

/* Nothing here is called from elsewhere. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef float wide_t __attribute__((vector_size(64)));

#define WIDE_ALL(a) ((wide_t){} + (a))
#define WIDE_ADD(a, b) ((a) + (b))
#define WIDE_SUB(a, b) ((a) - (b))
#define WIDE_MUL(a, b) ((a) * (b))
#define WIDE_DIV(a, b) ((a) / (b))

typedef int32_t bits_t __attribute__((vector_size(64)));

/* a where x > y, b elsewhere: by the sign of y - x, as GCC 12 fails at comparisons of vectors that are wider than the machine's. */
INLINE wide_t WIDE_PICK(wide_t x, wide_t y, wide_t a, wide_t b) {
    bits_t where = (bits_t)(y - x) >> 31;
    return (wide_t)((where & (bits_t)a) | (~where & (bits_t)b));
}

#else

typedef struct {
    float at[WIDE];
} wide_t;

INLINE wide_t WIDE_ALL(float a) {
    wide_t r;
    for (int i = 0; i < WIDE; i++) r.at[i] = a;
    return r;
}

#define WIDE_OPERATION(name, operation)                               \
    INLINE wide_t name(wide_t a, wide_t b) {                          \
        for (int i = 0; i < WIDE; i++) a.at[i] = a.at[i] operation b.at[i]; \
        return a;                                                     \
    }
WIDE_OPERATION(WIDE_ADD, +)
WIDE_OPERATION(WIDE_SUB, -)
WIDE_OPERATION(WIDE_MUL, *)
WIDE_OPERATION(WIDE_DIV, /)

INLINE wide_t WIDE_PICK(wide_t x, wide_t y, wide_t a, wide_t b) {
    for (int i = 0; i < WIDE; i++) a.at[i] = x.at[i] > y.at[i] ? a.at[i] : b.at[i];
    return a;
}

#endif

/* sum += w * x */
#define WIDE_GATHER(sum, w, x) ((sum) = WIDE_ADD(sum, WIDE_MUL(WIDE_ALL(w), x)))

INLINE void wide_roots(wide_t *a) {
    float *at = (float *)a;
    for (int i = 0; i < WIDE; i++) at[i] = sqrtf(at[i]);
}

#endif
