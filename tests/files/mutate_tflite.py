"""Mutated .tflite files: cut off, with bytes, words and bits changed, and with parts copied elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

# Words that offsets, sizes and scales do not expect.
WORDS = (0, 1, 2, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000, 0x100000, 0x3F800000, 0x7FC00000, 0x7F800000)


def mutants(path: Path, count: int, seed: int) -> Iterator[bytes]:
    """So many mutants of a file, the same for the same seed."""
    original, rng = path.read_bytes(), np.random.default_rng(seed)
    for _ in range(count):
        data, way = bytearray(original), rng.integers(5)
        if way == 0:
            yield bytes(data[: rng.integers(len(data))])
            continue
        for _ in range(rng.integers(1, (4, 4, 30, 3)[way - 1])):
            at = int(rng.integers(len(data) - 64))
            if way == 1:
                data[at] = rng.integers(256)
            elif way == 2:
                data[at & ~3 : (at & ~3) + 4] = int(rng.choice(WORDS)).to_bytes(4, "little")
            elif way == 3:
                data[at] ^= 1 << int(rng.integers(8))
            else:
                to, size = int(rng.integers(len(data) - 64)), int(rng.integers(1, 64))
                data[to : to + size] = data[at : at + size]
        yield bytes(data)
