"""Where the values of a TOML text stand: line and column of any key, element of a list, or character of a string.

`tomllib` (TOML 1.0, in the standard library) reads the values, but keeps no positions, and no library that is well kept does. A text that
it accepts is well formed, so a short scanner finds where everything begins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
BARE = re.compile(r"[A-Za-z0-9_-]+")
OTHER = re.compile(r"[^,\]}#\n]+")
# What ends a key, the dots of keys, and what may hold either without meaning it: strings, whole or up to the end, and comments.
DOTS = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)|\'{3}.*?(?:\'{3,5}|\Z)|"(?:\\.|[^"\\\n])*"?|\'[^\'\n]*\'?|#[^\n]*|(?P<dot>\.)|(?P<end>[=\[\]{},\n])',
    re.DOTALL,
)
QUOTES = ('"""', "'''", '"', "'")
# Of a basic string: an escape, or a line break that is escaped together with the blanks after it.
ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\n[ \t\n]*|.)")


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Of a character of a text, from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def long_key(text: str, parts: int) -> int | None:
    """Where the first key of more than so many parts stands, of any text; `tomllib` takes the square of their number for a key."""
    if all(line.count(".") < parts for line in text.split("\n")):
        return None
    start = dots = 0
    for match in DOTS.finditer(text):
        if match["end"]:
            start, dots = match.end(), 0
        elif match["dot"]:
            dots += 1
            if dots == parts:
                return start + len(text[start:]) - len(text[start:].lstrip(" \t"))
    return None


class Places:
    """Offsets of the values of a text that `tomllib` accepts, by their paths; a table stands where its header or its brace does."""

    def __init__(self, text: str):
        self.text = text
        self.starts: dict[Path, int] = {(): 0}
        self.keys: dict[Path, int] = {}
        self._last: dict[Path, int] = {}
        self._at = 0
        self._scan()

    def line_and_column(self, path: Path, offset: int | None = None, key: bool = False) -> tuple[int, int]:
        """Of the value at a path, from 1; of a character of that value if it is a string, with an offset; of its key, with `key`."""
        while path and path not in self.starts:
            path = path[:-1]
        at = self.keys.get(path, self.starts[path]) if key else self.starts[path]
        if offset is not None:
            at = self._character(at, offset)
        return line_and_column(self.text, at)

    def _scan(self) -> None:
        table: Path = ()
        while self._skip() < len(self.text):
            start = self._at
            many = self.text.startswith("[[", start)
            if self.text[start] != "[":
                self._pair(table)
                continue
            self._at += 1 + many
            table = self._resolved(self._key(), many)
            self._at = self.text.index("]", self._at) + 1 + many
            self._note(self.starts, table, start)
            self._note(self.keys, table, start)

    @staticmethod
    def _note(places: dict[Path, int], path: Path, at: int) -> None:
        """Also of what holds it, where that has no place of its own."""
        for end in range(len(path), 0, -1):
            places.setdefault(path[:end], at)

    def _resolved(self, key: Path, many: bool) -> Path:
        """The path that a header names: through a list of tables to the last one of them, or to a new one."""
        path: Path = ()
        for k, part in enumerate(key):
            path += (part,)
            if many and k == len(key) - 1:
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path += (self._last[path],)
        return path

    def _skip(self) -> int:
        match = BLANK.match(self.text, self._at)
        self._at = match.end() if match else self._at
        return self._at

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._key())
        self._at = self.text.index("=", self._at) + 1
        self._note(self.keys, path, start)
        self._value(path)

    def _key(self) -> Path:
        """Parts with dots between them, bare or quoted."""
        parts: list[str] = []
        while True:
            self._skip()
            if match := BARE.match(self.text, self._at):
                parts.append(match[0])
                self._at = match.end()
            else:
                start = self._at
                self._string()
                parts.append(_plain(self.text[start + 1 : self._at - 1], self.text[start]))
            self._skip()
            if self.text[self._at] != ".":
                return tuple(parts)
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip()
        start = self._at
        # A header, a key with dots or a brace may have been there first, for what is inside.
        self.starts[path] = start
        self._note(self.starts, path, start)
        first = self.text[start]
        if first in "\"'":
            self._string()
        elif first in "[{":
            self._at += 1
            self._parts(path, "]" if first == "[" else "}")
        elif match := OTHER.match(self.text, start):
            self._at = match.end()

    def _parts(self, path: Path, end: str) -> None:
        """Values of a list, or pairs of a table, up to the end."""
        number = 0
        while True:
            self._skip()
            if self.text[self._at] == ",":
                self._at += 1
            elif self.text[self._at] == end:
                self._at += 1
                return
            elif end == "]":
                self._value((*path, number))
                number += 1
            else:
                self._pair(path)

    def _string(self) -> None:
        quote = next(q for q in QUOTES if self.text.startswith(q, self._at))
        self._at += len(quote)
        while not self.text.startswith(quote, self._at):
            escape = ESCAPE.match(self.text, self._at) if quote[0] == '"' and self.text[self._at] == "\\" else None
            self._at = escape.end() if escape else self._at + 1
        self._at += len(quote)
        # Up to two quotes more may end the text of a string of several lines.
        while len(quote) == 3 and self.text.startswith(quote[0], self._at):
            self._at += 1

    def _character(self, at: int, offset: int) -> int:
        """The place of a character of a string that begins at a place."""
        quote = next((q for q in QUOTES if self.text.startswith(q, at)), None)
        if quote is None:
            return at
        at += len(quote)
        if len(quote) == 3 and self.text.startswith("\n", at):
            at += 1
        while offset > 0 and at < len(self.text):
            escape = ESCAPE.match(self.text, at) if quote[0] == '"' and self.text[at] == "\\" else None
            # An escaped line break is no character.
            offset -= 0 if escape and "\n" in escape[0] else 1
            at = escape.end() if escape else at + 1
        return at


def _plain(text: str, quote: str) -> str:
    """A quoted key as it is meant; names with escapes of numbers are looked up in the file by others."""
    named: Mapping[str, str] = {'\\"': '"', "\\\\": "\\", "\\t": "\t", "\\n": "\n"}
    return ESCAPE.sub(lambda match: named.get(match[0], match[0]), text) if quote == '"' else text
