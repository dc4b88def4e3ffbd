"""ClauseBuffer: fresh variables and zero-terminated int32 clauses in one growing block of memory."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_WRITABLE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from qbitsat._kernels.types cimport TRUE_LIT, int64_t, lit_t

cdef char *INT32_FORMAT = b"i"


cdef int grow(clauses_t *c, int64_t room) except -1 nogil:
    """Make room for at least `room` more entries, growing by half."""
    cdef int64_t capacity = c.capacity + c.capacity // 2 + 1024
    cdef lit_t *data
    if capacity < c.size + room:
        capacity = c.size + room
    if c.exports:
        with gil:
            raise BufferError("the clause buffer can't grow while its memory is exported")
    data = <lit_t *> realloc(c.data, capacity * sizeof(lit_t))
    if data == NULL:
        with gil:
            raise MemoryError(f"no memory for {capacity} entries of the clause buffer")
    c.data = data
    c.capacity = capacity
    return 0


cdef lit_t fresh(clauses_t *c) except 0 nogil:
    """A new variable, as its positive literal."""
    if c.num_vars >= TRUE_LIT - 1:
        with gil:
            raise OverflowError("the formula needs more than 2**31 - 2 variables")
    c.num_vars += 1
    return c.num_vars


cdef int clause_of(clauses_t *c, const lit_t *lits, Py_ssize_t n) except -1 nogil:
    """One clause of n literals; n may be 0."""
    if c.size + n + 1 > c.capacity:
        grow(c, n + 1)
    memcpy(c.data + c.size, lits, n * sizeof(lit_t))
    c.data[c.size + n] = 0
    c.size += n + 1
    c.num_clauses += 1
    return 0


cdef char *write_text(const lit_t *entries, int64_t count, char *at) noexcept nogil:
    """Entries as DIMACS text from `at` on, up to 12 characters each; where it ends."""
    cdef int64_t i, value
    cdef int n
    cdef char digits[12]
    for i in range(count):
        value = entries[i]
        if value < 0:
            at[0] = c"-"
            at += 1
            value = -value
        n = 0
        while n == 0 or value:
            digits[n] = c"0" + value % 10
            value //= 10
            n += 1
        while n:
            n -= 1
            at[0] = digits[n]
            at += 1
        at[0] = c" " if entries[i] else c"\n"
        at += 1
    return at


@cython.final
cdef class ClauseBuffer:
    """Clauses in DIMACS literals, each ended by 0. Exports its memory read-only as int32 (no copy); it can't grow meanwhile."""

    def __dealloc__(self):
        free(self.c.data)

    @property
    def num_vars(self):
        """Variables handed out: 1..num_vars."""
        return self.c.num_vars

    @property
    def num_clauses(self):
        """Clauses written."""
        return self.c.num_clauses

    def __len__(self):
        """int32 entries written, the terminating zeros included."""
        return self.c.size

    def dimacs(self, int64_t start, int64_t stop):
        """Entries start..stop-1 as DIMACS text: literals with spaces between, a newline after each 0.

        The Python equivalent is `"".join("0\\n" if lit == 0 else f"{lit} " for lit in entries[start:stop]).encode()`.
        """
        cdef bytearray text = bytearray(12 * max(stop - start, 0))
        cdef char *out = text
        cdef char *end
        if not 0 <= start <= stop <= self.c.size:
            raise IndexError(f"entries {start}:{stop} of {self.c.size}")
        with nogil:
            end = write_text(self.c.data + start, stop - start, out)
        return bytes(text[: end - out])

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("the clause buffer is read-only")
        if self.c.data == NULL:
            grow(&self.c, 1)
        self.shape = self.c.size
        self.stride = sizeof(lit_t)
        view.buf = self.c.data
        view.obj = self
        view.len = self.c.size * sizeof(lit_t)
        view.itemsize = sizeof(lit_t)
        view.readonly = 1
        view.ndim = 1
        view.format = INT32_FORMAT if flags & PyBUF_FORMAT else NULL
        view.shape = &self.shape
        view.strides = &self.stride
        view.suboffsets = NULL
        view.internal = NULL
        self.c.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.c.exports -= 1
