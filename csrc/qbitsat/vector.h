/* The same loops for each generation of vector instructions, chosen when the program starts. */
#ifndef QBITSAT_VECTOR_H
#define QBITSAT_VECTOR_H

#if defined(__x86_64__) && defined(__GNUC__) && defined(__linux__)
#define EVERY_TARGET __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define EVERY_TARGET
#endif

#endif
