"""The JSON headers of the project's own .npz files, networks and certificates: nothing in them is believed before it is checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..errors import InputError
from ..limits import NO_LIMITS, Limits
from .files import one_line
from .npy import Npz

T = TypeVar("T")
R = TypeVar("R")

MAX_HEADER_BYTES = 1 << 24
# A formula of 200 levels takes twice as many here.
MAX_NESTING = 500
# Bytes in memory of an empty list, and of an entry of one.
LIST_BYTES, ENTRY_BYTES = 72, 8
# Characters of a header for each list, where there are many lists: more of them than that hold nothing.
LIST_LENGTH, MANY_LISTS = 8, 1 << 16

# Keys of an object, each with the type of its value.
Keys = dict[str, type]
JSON_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number with a fraction",
    list: "a list",
    dict: "an object",
    bool: "true or false",
    type(None): "null",
}


def read_header(
    npz: Npz, place: str, form: str, versions: dict[int, Keys], limits: Limits = NO_LIMITS, optional: dict[int, Keys] | None = None
) -> dict[str, Any]:
    """The JSON object in the array `header`, its format, version and keys checked; numbers and nesting are bounded.

    versions are those that can be read, each with the keys of its header; optional are those with keys that may be there, too. limits are
    looked at for every number and object.
    """
    array = npz.read("header", "u")
    if array.dtype != np.uint8 or array.ndim != 1 or array.size > MAX_HEADER_BYTES:
        raise InputError(f"{place}: {array.dtype} of shape {array.shape}, expected at most {MAX_HEADER_BYTES} bytes of JSON as uint8")
    text = array.tobytes()
    # What lists and their entries take at least, before there are any: nothing is called for those.
    num_lists = text.count(b"[")
    if num_lists > MANY_LISTS and num_lists * LIST_LENGTH > len(text):
        raise InputError(f"{place}: {num_lists} lists in {len(text)} bytes of JSON, expected at most one in {LIST_LENGTH}")
    limits.require(LIST_BYTES * num_lists + ENTRY_BYTES * text.count(b","))

    def looking(make: Callable[[T], R]) -> Callable[[T], R]:
        def look(value: T) -> R:
            limits.check()
            return make(value)

        return look

    hooks = {"parse_int": looking(bounded_int), "parse_float": looking(float), "object_pairs_hook": looking(without_duplicates)}
    try:
        header = json.loads(text, parse_constant=refuse_constant, **hooks)  # type: ignore[arg-type]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
    if not isinstance(header, dict) or header.get("format") != form:
        raise InputError(f"{place}: expected an object with format {form!r}")
    expect(header.get("version"), int, f"{place}: version")
    if header["version"] not in versions:
        raise InputError(f"{place}: version {header['version']}, expected {' or '.join(map(str, versions))}")
    refuse_deep(header, place, limits)
    version = header["version"]
    more = {key: kind for key, kind in (optional or {}).get(version, {}).items() if key in header}
    return record(header, {**versions[version], **more}, place)


def bounded_int(text: str) -> int:
    """An integer of at most 64 bits: what is computed from it can then be printed, too."""
    number = int(text) if len(text) <= 20 else None
    if number is None or not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{text[:40]} has more than 64 bits")
    return number


def refuse_deep(value: Any, place: str, limits: Limits = NO_LIMITS) -> None:
    """Recursion into what is accepted is safe; here there is none."""
    stack = [(value, 1)]
    while stack:
        limits.check()
        part, level = stack.pop()
        if level > MAX_NESTING:
            raise InputError(f"{place}: nests deeper than {MAX_NESTING} levels")
        if isinstance(part, (dict, list)):
            stack.extend((inner, level + 1) for inner in (part.values() if isinstance(part, dict) else part))


def refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of the pairs, unless a key comes twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return values


def record(value: Any, types: Keys, place: str) -> dict[str, Any]:
    """The value, if it is an object with exactly these keys and types (an int is no bool, and no float)."""
    expect(value, dict, place)
    for key in [*value, *types]:
        if key not in types or key not in value:
            fault = "unknown" if key in value else "missing"
            raise InputError(f"{place}: key {key!r} is {fault}; expected {', '.join(types)}")
    for key, kind in types.items():
        expect(value[key], kind, f"{place}: {key}")
        if kind is str and not value[key].isprintable():  # names reach terminals
            raise InputError(f"{place}: {key} {shown(value[key])}, expected printable characters")
    return value


def kind_of_record(value: Any, kinds: dict[str, Any], place: str) -> str:
    """The `kind` of an object, if it is one of these."""
    expect(value, dict, place)
    kind = value.get("kind")
    if type(kind) is not str or kind not in kinds:
        raise InputError(f"{place}: kind {shown(kind)} is unknown; expected {' or '.join(map(repr, kinds))}")
    return kind


def texts(value: list[Any], place: str) -> list[str]:
    """The list, if all of it is text that terminals may show."""
    for i, entry in enumerate(value):
        expect(entry, str, f"{place}[{i}]")
        if not entry.isprintable():
            raise InputError(f"{place}[{i}]: {shown(entry)}, expected printable characters")
    return value


def integers(value: Any, count: int, place: str) -> list[int]:
    """The value, if it is a list of so many integers."""
    expect(value, list, place)
    if len(value) != count:
        raise InputError(f"{place}: {len(value)} values, expected {count}")
    for i, entry in enumerate(value):
        expect(entry, int, f"{place}[{i}]")
    return value


def expect(value: Any, kind: type, place: str) -> None:
    if type(value) is not kind:
        raise InputError(f"{place}: {shown(value)}, expected {JSON_NAMES[kind]}")


def shown(value: Any) -> str:
    """A JSON value for a message: short, and without recursion into deep nests."""
    return JSON_NAMES[type(value)] if isinstance(value, (list, dict)) else repr(value)[:40]
