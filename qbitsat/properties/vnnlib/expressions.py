"""S-expressions with the places where they stand: what VNN-LIB files of both versions are written in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from ...errors import InputError
from ...network.names import printable

# Bytes and words of a file, and levels of parentheses.
MAX_BYTES, MAX_WORDS, MAX_DEPTH = 1 << 26, 1 << 23, 100
SHOWN = 40

# Blanks and comments between words; then a parenthesis, a text, a version, or whatever else stands together.
BETWEEN = re.compile(r"(?:[ \t\r\n\f\v]|;[^\n]*)*")
WORD = re.compile(r'[()\[\],]|"[^"\n]*"|<[0-9.]*>|[^\s()\[\],;"]+')


@dataclass(frozen=True, slots=True)
class Word:
    """What stands together; line and column count from 1."""

    text: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class List:
    """What stands in parentheses, whose first one is at this place."""

    parts: tuple[Word | List, ...]
    line: int
    column: int

    @property
    def head(self) -> str:
        """The first part if that is a word, else ""."""
        first = self.parts[0] if self.parts else None
        return first.text if isinstance(first, Word) else ""


Expression = Word | List


@dataclass(frozen=True, slots=True)
class Source:
    """The file, for messages. sha256 is that of its bytes, "" for a text that is of no file."""

    path: str
    sha256: str = ""

    def refuse(self, at: Expression, message: str, kind: type[Exception] = InputError) -> NoReturn:
        """Raise an error about this place."""
        raise kind(f"{self.path}:{at.line}:{at.column}: {message}")


def shown(at: Expression) -> str:
    """A part for messages."""
    text = at.text if isinstance(at, Word) else f"({at.head} ...)" if at.parts else "()"
    return repr(printable(text[:SHOWN]))


def words(text: str, source: Source) -> Iterator[Word]:
    """The words of a file, one after the other."""
    at, line, first, count = 0, 1, 0, 0
    while True:
        blank = BETWEEN.match(text, at)
        end = blank.end() if blank else at
        breaks = text.count("\n", at, end)
        if breaks:
            line, first = line + breaks, text.rindex("\n", at, end) + 1
        if end == len(text):
            return
        found = WORD.match(text, end)
        if found is None:
            source.refuse(Word("", line, end - first + 1), f"{text[end : end + 1]!r}, expected a word or a parenthesis")
        count += 1
        if count > MAX_WORDS:
            source.refuse(Word("", line, end - first + 1), f"more than {MAX_WORDS} words, expected fewer")
        yield Word(found[0], line, end - first + 1)
        at = found.end()


def expressions(text: str, source: Source) -> list[Expression]:
    """All that a file has, in its order; parentheses inside of others are lists of their own."""
    done: list[Expression] = []
    open_lists: list[tuple[Word, list[Expression]]] = []
    for word in words(text, source):
        if word.text == "(":
            if len(open_lists) == MAX_DEPTH:
                source.refuse(word, f"parentheses nest deeper than {MAX_DEPTH} levels")
            open_lists.append((word, []))
            continue
        made: Expression = word
        if word.text == ")":
            if not open_lists:
                source.refuse(word, "a parenthesis that nothing opens")
            opening, parts = open_lists.pop()
            made = List(tuple(parts), opening.line, opening.column)
        (open_lists[-1][1] if open_lists else done).append(made)
    if open_lists:
        source.refuse(open_lists[-1][0], "a parenthesis that nothing closes")
    return done
