"""What the quantization of a tensor says, checked."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, UnsupportedError
from ...network.names import printable
from .records import Node
from .shapes import Followed, constant, has

# The smallest float32 with all its digits: below it no runtime promises a rounding.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-126, 2.0**127
TYPES = {"int8": (-128, 127), "uint8": (0, 255)}


def input_of(node: Node, which: int) -> str:
    """An input and its node, which may be another one than that whose layer is being built."""
    return f"input {which} {printable(node.inputs[which])!r} of {node.place}"


def scales_of(f: Followed, node: Node, which: int) -> np.ndarray:
    """Scales, float32[n]: a constant input, positive, finite, and with all digits."""
    scales = constant(f, node, which)
    if scales.dtype != np.float32 or scales.ndim > 1 or not scales.size:
        found = f"{scales.dtype} of shape {scales.shape}, expected one or a row of float32"
        raise UnsupportedError(f"{input_of(node, which)}, the scale: {found}")
    for scale in scales.ravel().tolist():
        if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
            raise InputError(f"{input_of(node, which)}: scale {scale:g}, expected a positive finite number that float32 holds in full")
    return scales.ravel()


def scale_of(f: Followed, node: Node, which: int) -> np.float32:
    scales = scales_of(f, node, which)
    if len(scales) != 1:
        raise UnsupportedError(f"{input_of(node, which)}: {len(scales)} scales, expected 1")
    return scales[0]


def zero_points_of(f: Followed, node: Node, which: int, default: str = "uint8") -> tuple[np.ndarray, str]:
    """Zero points int64[n], and their type, which is that of the tensor; where they are left out, one 0."""
    if not has(node, which):
        return np.zeros(1, np.int64), default
    found = constant(f, node, which)
    if found.dtype.name not in (*TYPES, "int32") or found.ndim > 1 or not found.size:
        hint = ": activations of 16 bits are not read" if found.dtype.name in ("int16", "uint16") else ""
        found_type = f"{found.dtype} of shape {found.shape}, expected int8 or uint8{hint}"
        raise UnsupportedError(f"{input_of(node, which)}, the zero point: {found_type}")
    return found.ravel().astype(np.int64), found.dtype.name


def zero_point_of(f: Followed, node: Node, which: int, default: str = "uint8") -> tuple[int, str]:
    zero_points, dtype = zero_points_of(f, node, which, default)
    if len(zero_points) != 1:
        raise UnsupportedError(f"{input_of(node, which)}: {len(zero_points)} zero points, expected 1")
    return int(zero_points[0]), dtype


def range_of(dtype: str) -> tuple[int, int]:
    if dtype not in TYPES:
        raise UnsupportedError(f"activations of type {dtype}, expected int8 or uint8")
    return TYPES[dtype]
