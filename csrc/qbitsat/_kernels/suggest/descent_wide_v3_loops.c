#include "wide_v3.h"

#ifdef WIDE_V3
#include "descent_wide_loops.c"
#endif
