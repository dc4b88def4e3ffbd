"""The errors of qbitsat: one small hierarchy.

Everything a user can cause derives from `QbitsatError`; the command line prints its message as one line and exits
with code 2. Anything else that escapes is our own mistake and exits with code 1.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """As in "; did you mean 'timeout'?", or nothing where no word is near."""
    near = get_close_matches(word, list(words), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


class QbitsatError(Exception):
    """Bad usage or bad input. The message names the file or argument, the place in it and what was expected."""


class InputError(QbitsatError):
    """A file, array or argument that is missing, malformed or out of range."""


class ArgumentError(InputError):
    """What `said` says of an argument. From Python and in files it goes by its name; the command line names the option as it is typed."""

    def __init__(self, argument: str, said: str):
        super().__init__(argument, said)
        self.argument, self.said = argument, said

    def __str__(self) -> str:
        return f"{self.argument}: {self.said}"


@contextmanager
def argument(name: str) -> Iterator[None]:
    """Make an `InputError` one about the argument of that name."""
    try:
        yield
    except InputError as error:
        raise ArgumentError(name, error.said if isinstance(error, ArgumentError) else str(error)) from error


class UnsupportedError(QbitsatError):
    """Valid input that qbitsat can't treat exactly, for example a layer kind or an accumulator beyond 60 bits."""


class FloatModelError(UnsupportedError):
    """A float model where integers were expected: it is quantized first."""


def none_of(value: object, words: Iterable[str]) -> str:
    """That a word is none of those expected; the nearest one is suggested."""
    expected = list(words)
    return f"{value!r} is unknown; expected one of {', '.join(expected)}{did_you_mean(str(value), expected)}"


def unknown(what: str, value: object, words: Iterable[str]) -> InputError:
    """The error about a word that is none of those expected."""
    return InputError(f"{what} {none_of(value, words)}")


def kind_of(value: object) -> str:
    """A value for messages: small ones as they are, others by their type, because arrays and networks fill screens."""
    if isinstance(value, tuple | list):
        parts = dict.fromkeys(type(part).__name__ for part in value)
        return f"a {type(value).__name__} of {', '.join(list(parts)[:3]) or 'nothing'}"
    return f"{value!r:.80}" if value is None or isinstance(value, int | float | str) else f"of type {type(value).__name__}"


def expect_kind(value: object, kinds: type | tuple[type, ...], what: str, expected: str) -> None:
    """Raise `InputError` for a value of another type."""
    if not isinstance(value, kinds):
        raise InputError(f"{what} is {kind_of(value)}, expected {expected}")


class MissingExtraError(QbitsatError):
    """An optional package is needed; the message names the extra that installs it."""

    def __init__(self, package: str, extra: str, purpose: str):
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'qbitsat[{extra}]'")
