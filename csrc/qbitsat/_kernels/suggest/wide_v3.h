/* For files that compile wide loops once more, for machines with vectors of eight floats: compilers take those apart before they clone a
   function for other machines, as EVERY_TARGET asks for. The first thing that such a file includes. */
#ifndef QBITSAT_WIDE_V3_H
#define QBITSAT_WIDE_V3_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#pragma GCC target("arch=x86-64-v3")
#define WIDE_V3
#endif

#endif
