/* The same loops for each generation of vector instructions, chosen when the program starts, where compiler and C library can. */
#ifndef QBITSAT_VECTOR_H
#define QBITSAT_VECTOR_H

#include <stdint.h> /* tells which C library this is */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define EVERY_TARGET __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EVERY_TARGET
#endif

/* A function of a header that not every file calls. */
#ifdef __GNUC__
#define UNUSED __attribute__((unused))
#else
#define UNUSED
#endif

/* A short loop that is unrolled before the one around it is vectorised. */
#if defined(__GNUC__) && !defined(__clang__)
#define UNROLLED _Pragma("GCC unroll 8")
#else
#define UNROLLED
#endif

#ifdef _MSC_VER
#define INLINE static __forceinline
#define restrict __restrict
#else
#define INLINE static inline __attribute__((always_inline))
#endif

#endif
