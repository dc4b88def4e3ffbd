from qbitsat._kernels.suggest.floats cimport Floats, floats_t

cdef extern from "wide_units.h":
    ctypedef struct wide_t:
        pass

    ctypedef unsigned short lanes_t

    ctypedef struct units_t:
        const floats_t *floats
        int num_units, most_reads
        const int *first_unit

    ctypedef struct chosen_t:
        lanes_t *useful

    int WIDE


cdef class Units:
    cdef units_t plan
    cdef chosen_t chosen
    cdef readonly Floats floats
    cdef int *first_unit
    cdef object ints, marks, moves


cdef wide_t *wides_of(float[::1] room)
