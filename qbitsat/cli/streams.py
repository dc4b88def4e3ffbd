"""Standard streams that may be closed or full, and whose reader may leave."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TypeVar

T = TypeVar("T")

# What a shell reports of a program that ended because nobody reads its output.
EXIT_BROKEN_PIPE = 141
# Nobody reads: the other end of a pipe, or the terminal, is gone.
NO_READER = (errno.EPIPE, errno.EIO)


class OutputLost(Exception):  # noqa: N818 (often no error: the reader has seen enough)
    """Standard output can't be written, and it is all that there is of the work; `error` says why."""

    def __init__(self, error: OSError):
        super().__init__(f"standard output: can't be written: {error.strerror}")
        self.error = error


class Output:
    """A text stream. A fault of it raises `OutputLost`, or is passed over if `may_be_lost`; what follows is dropped."""

    def __init__(self, stream: Any, may_be_lost: bool = False):
        self.stream, self.may_be_lost = stream, may_be_lost

    def write(self, text: str) -> int:
        return self._try(lambda: self.stream.write(text), len(text))

    def flush(self) -> None:
        self._try(self.stream.flush, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except OSError as error:
            # What the buffers hold goes there too: Python flushes once more at exit, and would complain.
            with suppress(OSError), open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), self.stream.fileno())
            if not self.may_be_lost:
                raise OutputLost(error) from error
            if self is sys.stdout and error.errno not in NO_READER:
                print(f"qbitsat: {OutputLost(error)}; the work goes on", file=sys.stderr)
            return otherwise


@contextmanager
def guarded() -> Iterator[Output]:
    """Standard output, until this is left, as an `Output` that must not be lost, and standard error as one that may."""
    output: Any = Output(sys.stdout)
    errors: Any = Output(sys.stderr, may_be_lost=True)
    with redirect_stdout(output), redirect_stderr(errors):
        yield output


def open_missing() -> None:
    """Closed standard streams become /dev/null: the next file to be opened would take the number, and then what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one; children want it open, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names need not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
