"""Proofs of PySAT's solvers, made into short proofs with hints (LRAT) where the solver ran, and packed for certificates."""

from __future__ import annotations

import lzma
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
import pysolvers

from .._kernels.cnf import lrat as _lrat
from ..limits import Tick

NO_ROOM = "no room for the proof"
REASONS = {
    _lrat.CUT: "the solver's proof is cut off",
    _lrat.OPEN: "the solver's proof has no end",
    _lrat.VARIABLE: "the solver's proof names a variable that the formula does not have",
    _lrat.NOT_RUP: "the solver's proof has a step that does not follow by unit propagation",
}
# Solvers write through buffers of at most this many bytes.
PROBE = 1 << 16
# Bytes of text that are made binary at a time.
TEXT_CHUNK = 1 << 22
# Higher levels of xz take ten times as long and save a fifth.
PRESET, LEAST_DICTIONARY, DICTIONARY = 1, 1 << 12, 1 << 20


@contextmanager
def proof_file() -> Iterator[tuple[IO[bytes], str]]:
    """An empty file without a name that outlives its writer, and the path by which children open it."""
    if sys.platform == "linux":
        with tempfile.TemporaryFile() as file:
            yield file, f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile(prefix="qbitsat-") as file:
            yield file, file.name  # type: ignore[misc]


def has_room(file: IO[bytes]) -> bool:
    """Whether a file can grow: C libraries do not say that a write failed."""
    try:
        return os.pwrite(file.fileno(), bytes(PROBE), os.fstat(file.fileno()).st_size) == PROBE
    except OSError:
        return False


def trace_to(inner: Any, path: str) -> None:
    """Let one of PySAT's solvers that was made with a proof write it to that file, not to its own."""
    descriptor = os.open(path, os.O_RDWR)
    os.dup2(descriptor, inner.prfile.fileno())
    os.close(descriptor)


def lrat_of(clauses: np.ndarray, num_vars: int, inner: Any, tick: Tick) -> bytes | str:
    """What a refutation needs of the proof that one of PySAT's solvers has traced, packed; or why there is none.

    CaDiCaL writes binary DRUP, Glucose text. Proofs of what is trivial may lack their end (python-sat issue 139), which nothing here needs.
    """
    pysolvers.flushpr(inner.prfp)
    inner.prfile.seek(0)
    if hasattr(inner, "cadical"):
        proof = inner.prfile.read()
    else:
        proof = bytearray()
        while lines := inner.prfile.readlines(TEXT_CHUNK):
            proof += binary_drup(b"".join(line for line in lines if line.endswith(b"\n")))  # the last one may be cut
    state, sizes, literals, hints = _lrat.trim(num_vars, clauses, proof, tick)
    return pack(sizes, literals, hints) if state == _lrat.DONE else REASONS[state]


def pack(sizes: np.ndarray, literals: np.ndarray, hints: np.ndarray) -> bytes:
    """A proof as docs/reference/certificates.md specifies it: the arrays of `_lrat.trim` in xz."""
    data = np.concatenate([[len(sizes)], sizes.T.reshape(-1), literals, hints]).astype("<i4").tobytes()
    dictionary = min(max(len(data), LEAST_DICTIONARY), DICTIONARY)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": PRESET, "dict_size": dictionary}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


def binary_drup(text: bytes) -> bytes:
    """Lines of DRUP text as binary DRUP: 7 bits a byte, lowest first, of 2 * variable + (1 if negative); 0 ends a step."""
    deletion = 1 << 40
    entries = np.fromstring(text.replace(b"d", b"%d" % deletion).decode(), np.int64, sep=" ")
    numbers = np.where(entries == deletion, ord("d"), 2 * np.abs(entries) + (entries < 0))
    begins = np.flatnonzero(np.append(True, entries[:-1] == 0))
    numbers = np.insert(numbers, begins[entries[begins] != deletion], ord("a"))  # both letters are single bytes, as numbers below 128 are
    groups = numbers[:, None] >> np.arange(0, 35, 7)
    data = (groups & 0x7F | np.where(groups >= 0x80, 0x80, 0)).astype(np.uint8)
    return data[(groups > 0) | (np.arange(5) == 0)].tobytes()
