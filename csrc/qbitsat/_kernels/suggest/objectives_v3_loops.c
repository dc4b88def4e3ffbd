#include "wide_v3.h"

#ifdef WIDE_V3
#include "objectives_loops.c"
#endif
