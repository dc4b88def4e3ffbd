from qbitsat._types cimport int32_t, int64_t
