"""Which elements of an input may move, and how far each: a rectangle of an image, a channel, a frame, a sensor.

    [3:6, 10:13]        indices of the input's axes, as in numpy; axes that are left out are taken whole
    [:, :, 0]=2         of this part, 2 steps and not the distance given for all
    5:9                 without brackets: elements of the flattened input

Parts stand one after the other, with blanks between them; where they overlap the last one counts. What no part names stays as it is.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..arithmetic import integer
from ..errors import ArgumentError, InputError
from ..network import TensorFormat
from ..network.layers import integer_array

# One part: brackets or an index of elements, and a distance.
PART = re.compile(r"(?:\[([^\[\]]*)\]|([\d:]+))(?:=(\d+))?(?:\s+|$)")
# Numbers of at most so many digits, and texts of at most so many characters.
DIGITS, MAX_TEXT = 9, 1 << 22
EXPECTED = "expected parts as in '[3:6, 10:13]' (axes), '[:, :, 0]=2' (with a distance of its own) or '5:9' (elements)"


def distances(region: str | None, shape: tuple[int, ...], eps: int) -> np.ndarray:
    """How far each element of an input of this shape may move, in integer steps: int64[size]; region None: all of them by eps.

    Raises `InputError` for what is no region, or names what the input does not have.
    """
    found = np.full(shape, eps if region is None else 0, np.int64)
    for axes, elements, own in _parts(region) if region is not None else ():
        distance = eps if own is None else _number(own)
        if elements is not None:
            found.reshape(-1)[_index(elements, found.size, "the flattened input")] = distance
            continue
        places = [part.strip() for part in axes.split(",")]
        if len(places) > len(shape):
            raise ArgumentError("region", f"[{axes}] has {len(places)} axes, the input has {len(shape)}: {shape}")
        found[tuple(_index(place, shape[axis], f"axis {axis}") for axis, place in enumerate(places))] = distance
    return found.reshape(-1)


def own_distance(region: str | None) -> int | None:
    """The largest distance that a part has of its own, if every part has one; None if not."""
    if region is None:
        return None
    parts = _parts(region)
    found = [_number(own) for _, _, own in parts if own is not None]
    return max(found) if len(found) == len(parts) else None


def _parts(region: str) -> list[tuple[str, str | None, str | None]]:
    text, at, parts = region.strip(), 0, []
    if not text or len(text) > MAX_TEXT:
        raise ArgumentError("region", f"{text[:40]!r}, {EXPECTED}")
    while at < len(text):
        match = PART.match(text, at)
        if match is None:
            raise ArgumentError("region", f"{text[at : at + 40]!r}, {EXPECTED}")
        axes, elements, own = match.groups()
        parts.append((axes or "", elements, own))
        at = match.end()
    return parts


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS):
        raise ArgumentError("region", f"{text[:40]!r}, expected a whole number from 0 to 999999999")
    return int(text)


def _index(text: str, length: int, what: str) -> slice:
    """As in 5, 5:9, 5:, :9 or : of so many."""
    first, colon, last = (part.strip() for part in text.partition(":"))
    start = _number(first) if first or not colon else 0
    stop = (_number(last) if last else length) if colon else start + 1
    if stop > length:
        raise ArgumentError("region", f"{text.strip()!r}, but {what} has indices 0 to {length - 1}")
    if start >= stop:
        raise ArgumentError("region", f"{text.strip()!r} is empty, expected a:b with a below b")
    return slice(start, stop)


def steps_of(eps: Any, form: TensorFormat) -> int:
    """A distance in input steps as a Python int."""
    try:
        return integer(eps, "eps, in input steps,", 0)
    except InputError as error:
        raise InputError(f"{error}{real_distance(eps, form)}") from error


def real_distance(eps: Any, form: TensorFormat) -> str:
    """What to say of a distance that may be meant in real units, or nothing if it is no positive number of them."""
    if isinstance(eps, bool | np.bool_) or not isinstance(eps, int | float | np.floating) or not 0 < eps < math.inf:
        return ""
    steps = f"{eps / form.scale:.6g}"
    said = f"{float(eps):.6g} in real units is {steps} step{'' if steps == '1' else 's'}"
    return f": eps counts input steps, of {form.scale:.6g} in real units each; {said}"


def region_of(eps: Any, form: TensorFormat, region: str | None) -> tuple[int, str | None]:
    """The distance for all and the region that say what `robustness` was given: an integer, or an array of distances by element."""
    if isinstance(eps, np.ndarray | list | tuple) and np.ndim(eps):
        if region is not None:
            raise InputError("robustness: distances by element and a region, expected one of them")
        array = integer_array(eps, None, 0, 10**DIGITS - 1, "eps")
        if array.shape not in (form.shape, (form.size,)):
            raise ArgumentError("eps", f"shape {array.shape}, expected {form.shape}, a distance for each element")
        flat = array.reshape(-1)
        starts = np.flatnonzero(np.diff(flat, prepend=-1))
        runs = zip(starts.tolist(), [*starts[1:].tolist(), len(flat)], flat[starts].tolist(), strict=True)
        parts = [f"{start}:{stop}={distance}" for start, stop, distance in runs if distance]
        return int(flat.max()), " ".join(parts) or f"0:{len(flat)}=0"
    return steps_of(eps, form), None if region is None else _checked(region)


def meaning(eps: int, region: str | None, form: TensorFormat) -> tuple[int, str | None]:
    """A distance and a region that say the same, and are equal for all that say it: where the same elements move, each as far."""
    return region_of(distances(region, form.shape, eps), form, None)


def _checked(region: Any) -> str:
    """The text as it is kept: one blank between words."""
    if not isinstance(region, str):
        raise ArgumentError("region", f"{region!r:.80}, {EXPECTED}")
    return " ".join(region.split())
