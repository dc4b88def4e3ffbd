cimport cython

from qbitsat._kernels.suggest.floats cimport Floats, Inequalities, floats_t, inequality_t
from qbitsat._kernels.suggest.units cimport Units
from qbitsat._kernels.types cimport int32_t, int64_t, uint8_t

cdef extern from "descent.h":
    ctypedef struct column_t:
        int neuron, size
        const float *weights

    ctypedef struct plan_t:
        const floats_t *floats
        const unsigned char *by_columns
        const column_t *columns
        const unsigned char *is_last
        const int *first_place
        int any_columns, num_places
        int (*tick)(void *) noexcept nogil
        void *who

    ctypedef struct node_t:
        int num_atoms
        const inequality_t *const *atoms
        const float *x_lo
        const float *x_hi
        const float *vertex_acc
        const float *vertex_y
        const float *slopes
        int anchor
        int cold
        float *multipliers
        float *shares
        float *coefficients
        float *x_best
        float *x_mean
        float *acc_mean
        float *y_mean

    int VERTICES, LANES


@cython.final
cdef class Descent:
    cdef plan_t plan
    cdef Floats floats
    cdef Inequalities atoms
    cdef Units units
    cdef column_t *columns
    cdef unsigned char *by_columns
    cdef unsigned char *is_last
    cdef int *first_place
    cdef list kept
    cdef object tick, stopped

    cdef _set_columns(self, Py_ssize_t k)
    cdef _fill(self, node_t *nodes, const inequality_t **mine, const int32_t[:, ::1] atoms, const float[:, ::1] x_lo, const float[:, ::1] x_hi,
               const float[:, :, ::1] vertex_acc, const float[:, :, ::1] vertex_y, const float[:, ::1] slopes, const int32_t[::1] anchor,
               const uint8_t[::1] cold, float[:, ::1] multipliers, float[:, ::1] shares, float[:, ::1] coefficients, float[:, ::1] x_best,
               float[:, ::1] x_mean, float[:, ::1] acc_mean, float[:, ::1] y_mean)
    cdef int _one_by_one(self, node_t *nodes, float[::1] value, int most, int steps, float rate, float decay, int polish) except? -2
    cdef int _side_by_side(self, node_t *nodes, float[::1] value, int most, int steps, float rate, float decay, int polish) except? -2
