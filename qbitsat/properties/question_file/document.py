"""A TOML text as fields that know where they stand, so that every fault names file, line and column."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NoReturn

from ...errors import InputError, QbitsatError, UnsupportedError, did_you_mean, kind_of
from ...importers.files import Path, one_line, open_input, size_of
from .grammar import Fault
from .places import Places, line_and_column, long_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MAX_BYTES, MAX_LINES, MAX_PARTS = 1 << 24, 200_000, 20
NAMES = {str: "a text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table", float: "a number"}


class Document:
    """A question file's text, read."""

    def __init__(self, path: Path):
        self.path = os.fspath(path)
        with open_input(path) as stream:
            if size_of(stream) > MAX_BYTES:
                raise InputError(f"{self.path}: {size_of(stream)} bytes, expected at most {MAX_BYTES}")
            data = stream.read()
        try:
            self.text = data.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line, column = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
            raise InputError(f"{self.path}:{line}:{column}: no UTF-8, expected a TOML text") from error
        if self.text.count("\n") > MAX_LINES:
            raise InputError(f"{self.path}:{MAX_LINES + 1}:1: the file goes on for more than {MAX_LINES} lines")
        if (at := long_key(self.text, MAX_PARTS)) is not None:
            line, column = line_and_column(self.text, at)
            raise InputError(f"{self.path}:{line}:{column}: a key of more than {MAX_PARTS} parts, expected at most those")
        self.root = Field(self, (), self._read())

    def _read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            message = one_line(error)
            found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message)
            end = self.text.count("\n") + 1, len(self.text) - self.text.rfind("\n")
            line, column = (int(found[2]), int(found[3])) if found else end
            said = found[1] if found else message.removesuffix(" (at end of document)")
            raise InputError(f"{self.path}:{line}:{column}: no TOML: {said}") from error
        except RecursionError as error:
            raise InputError(f"{self.path}:1:1: no TOML: lists or tables nest too deep") from error
        except ValueError as error:  # of numbers and dates that Python does not have
            raise InputError(f"{self.path}:1:1: no TOML: {one_line(error)[:100]}") from error

    @cached_property
    def places(self) -> Places:
        return Places(self.text)


class Field:
    """A value of the file, and the path to it."""

    def __init__(self, document: Document, path: tuple[str | int, ...], value: Any):
        self.document, self.path, self.value = document, path, value

    def fault(self, error: Exception | str, offset: int | None = None, key: bool = False) -> QbitsatError:
        """The error with file, line and column in front: of the value, a character of it, or its key."""
        line, column = self.document.places.line_and_column(self.path, offset, key)
        kind = UnsupportedError if isinstance(error, UnsupportedError) else InputError
        return kind(f"{self.document.path}:{line}:{column}: {error}")

    def refuse(self, error: Exception | str) -> NoReturn:
        raise self.fault(error) from (error if isinstance(error, Exception) else None)

    def misread(self, fault: Fault) -> NoReturn:
        """A fault of the expression that this text is."""
        raise self.fault(fault.error if isinstance(fault.error, QbitsatError) else str(fault), fault.at) from fault

    def __contains__(self, key: str) -> bool:
        return key in self.value

    def __getitem__(self, key: str | int) -> Field:
        return Field(self.document, (*self.path, key), self.value[key])

    def of_kind(self, *kinds: type) -> Any:
        """The value, which must be of one of these kinds."""
        if not isinstance(self.value, kinds) or (isinstance(self.value, bool) and bool not in kinds):
            expected = " or ".join(NAMES[kind] for kind in kinds)
            found = NAMES.get(type(self.value)) if isinstance(self.value, dict | list) else kind_of(self.value)
            self.refuse(f"{self.path[-1] if self.path else 'the file'} is {found}, expected {expected}")
        return self.value

    def get(self, key: str, *kinds: type, default: Any = None) -> Any:
        """The value of a key, of one of these kinds; the default where there is none."""
        return self[key].of_kind(*kinds) if key in self else default

    def table(self, known: Sequence[str]) -> Field:
        """Itself, as a table that has no other keys."""
        for key in self.of_kind(dict):
            if key not in known:
                hint = did_you_mean(key, known) or f"; expected one of {', '.join(known)}"
                raise self[key].fault(f"key {key[:60]!r} is unknown{hint}", key=True)
        return self

    def each(self) -> Iterator[Field]:
        """The fields of a table or list."""
        for key in self.value if isinstance(self.value, dict) else range(len(self.value)):
            yield self[key]

    def texts(self) -> Iterator[Field]:
        """Itself as one text, or its texts as a list."""
        if isinstance(self.of_kind(str, list), str):
            yield self
            return
        for part in self.each():
            part.of_kind(str)
            yield part
