/* Sixteen floats side by side: one of each of as many nodes, or objectives, that one loop is about. All inlined into the kernels. */
#ifndef QBITSAT_WIDE_H
#define QBITSAT_WIDE_H

#include <math.h>

#include "vector.h"

enum { WIDE = 16 };

/* A function of wides is compiled for any machine, and by a file of its own (see wide_v3.h) for those with vectors of eight floats:
   int WIDE_NAME(f)(...) { ... }, with a type f_t and WIDE_FUNCTION(f) to declare it, and WIDE_FASTEST(f) to call it. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define WIDE_FUNCTION(f) f##_t f##_any, f##_v3
#define WIDE_FASTEST(f) (__builtin_cpu_supports("x86-64-v3") ? f##_v3 : f##_any)
#else
#define WIDE_FUNCTION(f) f##_t f##_any
#define WIDE_FASTEST(f) f##_any
#endif
#ifdef WIDE_V3
#define WIDE_NAME(f) f##_v3
#else
#define WIDE_NAME(f) f##_any
#endif

/* Some of sixteen lanes: a bit for each. */
typedef uint16_t lanes_t;
enum { ALL_LANES = 0xffff };

#ifdef __GNUC__

/* Nothing here is called from elsewhere. */
#pragma GCC diagnostic ignored "-Wpsabi"

/* Two vectors of eight: GCC 12 takes those that are wider than the machine's apart into single numbers. */
typedef float half_t __attribute__((vector_size(32)));
typedef int32_t bits_t __attribute__((vector_size(32)));

typedef struct {
    half_t low, high;
} wide_t;

INLINE wide_t WIDE_ALL(float a) { return (wide_t){(half_t){0} + a, (half_t){0} + a}; }

#define WIDE_OPERATION(name, operation) \
    INLINE wide_t name(wide_t a, wide_t b) { return (wide_t){a.low operation b.low, a.high operation b.high}; }

INLINE half_t half_choose(bits_t where, half_t a, half_t b) { return (half_t)((where & (bits_t)a) | (~where & (bits_t)b)); }

/* a where x > y, b elsewhere. */
INLINE wide_t WIDE_PICK(wide_t x, wide_t y, wide_t a, wide_t b) {
    return (wide_t){half_choose(x.low > y.low, a.low, b.low), half_choose(x.high > y.high, a.high, b.high)};
}

/* a in the lanes whose bits are set, b in the others: neither is looked at as a number. */
INLINE wide_t WIDE_CHOOSE(lanes_t lanes, wide_t a, wide_t b) {
    const bits_t bit = {1, 2, 4, 8, 16, 32, 64, 128};
    bits_t in_low = ((bits_t){0} + (lanes & 0xff)) & bit, in_high = ((bits_t){0} + (lanes >> 8)) & bit;
    return (wide_t){half_choose(in_low == bit, a.low, b.low), half_choose(in_high == bit, a.high, b.high)};
}

INLINE wide_t WIDE_SIZE(wide_t a) { return (wide_t){(half_t)((bits_t)a.low & 0x7fffffff), (half_t)((bits_t)a.high & 0x7fffffff)}; }

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

INLINE wide_t WIDE_PICK(wide_t x, wide_t y, wide_t a, wide_t b) {
    for (int i = 0; i < WIDE; i++) a.at[i] = x.at[i] > y.at[i] ? a.at[i] : b.at[i];
    return a;
}

INLINE wide_t WIDE_CHOOSE(lanes_t lanes, wide_t a, wide_t b) {
    for (int i = 0; i < WIDE; i++) a.at[i] = lanes >> i & 1 ? a.at[i] : b.at[i];
    return a;
}

INLINE wide_t WIDE_SIZE(wide_t a) {
    for (int i = 0; i < WIDE; i++) a.at[i] = fabsf(a.at[i]);
    return a;
}

#endif

WIDE_OPERATION(WIDE_ADD, +)
WIDE_OPERATION(WIDE_SUB, -)
WIDE_OPERATION(WIDE_MUL, *)
WIDE_OPERATION(WIDE_DIV, /)

/* sum += w * x */
#define WIDE_GATHER(sum, w, x) ((sum) = WIDE_ADD(sum, WIDE_MUL(WIDE_ALL(w), x)))

INLINE void wide_roots(wide_t *a) {
    float *at = (float *)a;
    for (int i = 0; i < WIDE; i++) at[i] = sqrtf(at[i]);
}

#endif
