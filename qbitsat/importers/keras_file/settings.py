"""The settings of a layer in a Keras file: JSON of which nothing is believed before it is checked."""

from __future__ import annotations

import json
import math
from typing import Any

from ...errors import InputError, UnsupportedError
from ...network.names import printable
from ..files import one_line
from ..json_header import refuse_deep, shown

MOST = 1 << 20
NO_DEFAULT: Any = object()


def parse(text: str | bytes, place: str) -> dict[str, Any]:
    """The object in a text of JSON."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise InputError(f"{place}: {shown(found)}, expected an object")
    refuse_deep(found, place)
    return found


def shown_name(name: str) -> str:
    """A name of the file as printable text of some length."""
    return repr(printable(name)[:80])


class Settings:
    """What a layer's "config" says. place names the layer."""

    def __init__(self, values: Any, place: str):
        if not isinstance(values, dict):
            raise InputError(f"{place}: config is {shown(values)}, expected an object")
        self.values, self.place = values, place

    def get(self, key: str, default: Any = NO_DEFAULT) -> Any:
        found = self.values.get(key, default)
        if found is NO_DEFAULT:
            raise InputError(f"{self.place}: has no {key}")
        return found

    def wrong(self, key: str, expected: str) -> InputError:
        return InputError(f"{self.place}: {key} is {shown(self.values.get(key))}, expected {expected}")

    def flag(self, key: str, default: bool) -> bool:
        found = self.get(key, default)
        if not isinstance(found, bool):
            raise self.wrong(key, "true or false")
        return found

    def whole(self, key: str, default: Any = NO_DEFAULT, least: int = 1) -> int:
        found = self.get(key, default)
        if type(found) is not int or not least <= found <= MOST:
            raise self.wrong(key, f"an integer from {least} to {MOST}")
        return found

    def number(self, key: str, default: Any = NO_DEFAULT) -> float:
        """A finite number; Keras writes some as a list or an object of one."""
        found = self.get(key, default)
        if isinstance(found, dict) and "value" in found.get("config", found):
            found = found.get("config", found)["value"]
        if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < math.inf:
            raise self.wrong(key, "a finite number")
        return float(found)

    def sizes(self, key: str, axes: int, default: Any = NO_DEFAULT) -> tuple[int, ...]:
        """As many positive integers as there are axes; one stands for all of them."""
        found = self.get(key, default)
        parts = [found] * axes if type(found) is int else found
        if not isinstance(parts, list | tuple) or len(parts) != axes or not all(type(n) is int and 1 <= n <= MOST for n in parts):
            raise self.wrong(key, f"{axes} integers from 1 to {MOST}")
        return tuple(parts)

    def word(self, key: str, default: str, words: tuple[str, ...]) -> str:
        """One of some words; others are none that are read."""
        found = self.get(key, default)
        if found not in words:
            raise UnsupportedError(f"{self.place}: {key} {shown(found)}, expected {' or '.join(map(repr, words))}")
        return found
