"""Names of networks and layers: text that every file can hold and every terminal can show."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InputError


def check_name(name: Any, what: str) -> None:
    """Refuse what is no text of printable characters: no control or format characters, no blanks but the space, no lone surrogates."""
    if not isinstance(name, str):
        raise InputError(f"{what}: name {name!r}, expected a string")
    if not name.isprintable():
        place = next(i for i, character in enumerate(name) if not character.isprintable())
        raise InputError(f"{what}: name {name!a}, expected printable characters; character {place} is {name[place]!a}")


def printable(text: str) -> str:
    """The same text where it is printable, and escapes as of Python's literals where it is not."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def escape_path(path: str) -> str:
    """A file's name as printable text: % and what is not printable become %XX for each of their bytes, as in URLs.

    Raises `InputError` for what can be no file's name here. `unescape_path` gives it back.
    """
    try:
        return "".join(c if c.isprintable() and c != "%" else "".join(f"%{byte:02X}" for byte in os.fsencode(c)) for c in path)
    except UnicodeEncodeError as error:
        raise InputError(f"{path!a}: expected a file name that can be encoded as {error.encoding}") from error


def unescape_path(text: str) -> str:
    """The file's name that `escape_path` was given."""
    from urllib.parse import unquote_to_bytes

    return os.fsdecode(unquote_to_bytes(text))
