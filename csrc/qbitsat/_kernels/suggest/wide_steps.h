/* What descents of sixteen lanes side by side do with one neuron. All inlined into the kernels. */
#ifndef QBITSAT_WIDE_STEPS_H
#define QBITSAT_WIDE_STEPS_H

#include "adam.h"
#include "descent.h"
#include "wide.h"

/* acc and y of a vertex, where c * y - lambda * acc is larger than `best` there. */
INLINE void try_vertex(wide_t lambda, wide_t c, wide_t other_acc, wide_t other_y, wide_t *best, wide_t *acc, wide_t *y) {
    wide_t value = WIDE_SUB(WIDE_MUL(c, other_y), WIDE_MUL(lambda, other_acc));
    *acc = WIDE_PICK(value, *best, other_acc, *acc);
    *y = WIDE_PICK(value, *best, other_y, *y);
    *best = WIDE_PICK(value, *best, value, *best);
}

/* The largest c * y - lambda * acc over the vertices of a neuron, the same in all lanes, and the acc and y that attain it. */
INLINE wide_t largest_vertex(const float *vertex_acc, const float *vertex_y, long stride, wide_t lambda, wide_t c, wide_t *acc, wide_t *y) {
    wide_t a = WIDE_ALL(vertex_acc[0]), v = WIDE_ALL(vertex_y[0]), best = WIDE_SUB(WIDE_MUL(c, v), WIDE_MUL(lambda, a));
    UNROLLED
    for (int k = 1; k < VERTICES; k++) try_vertex(lambda, c, WIDE_ALL(vertex_acc[k * stride]), WIDE_ALL(vertex_y[k * stride]), &best, &a, &v);
    *acc = a, *y = v;
    return best;
}

/* The same where lanes differ: acc and y of one vertex after the other. */
INLINE wide_t largest_of_own(const wide_t *vertices, wide_t lambda, wide_t c, wide_t *acc, wide_t *y) {
    wide_t a = vertices[0], v = vertices[1], best = WIDE_SUB(WIDE_MUL(c, v), WIDE_MUL(lambda, a));
    UNROLLED
    for (int k = 1; k < VERTICES; k++) try_vertex(lambda, c, vertices[2 * k], vertices[2 * k + 1], &best, &a, &v);
    *acc = a, *y = v;
    return best;
}

/* Adam, a multiplier in steps of its natural size. */
INLINE void adam(wide_t *lambda, wide_t *mean, wide_t *square, wide_t gradient, wide_t step, wide_t up, wide_t share) {
    wide_t g = WIDE_MUL(gradient, step), size;
    *mean = WIDE_ADD(*mean, WIDE_MUL(WIDE_ALL(FIRST_MOMENT), WIDE_SUB(g, *mean)));
    *square = WIDE_ADD(*square, WIDE_MUL(WIDE_ALL(SECOND_MOMENT), WIDE_SUB(WIDE_MUL(g, g), *square)));
    size = WIDE_MUL(*square, share);
    wide_roots(&size);
    *lambda = WIDE_SUB(*lambda, WIDE_DIV(WIDE_MUL(WIDE_MUL(up, step), *mean), WIDE_ADD(size, WIDE_ALL(1e-9f))));
}

#endif
