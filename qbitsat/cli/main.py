"""The entry point: from arguments to an exit code."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ..errors import QbitsatError
from .arguments import build
from .check import check
from .commands import export, inspect, verify
from .compare import compare
from .demo import demo
from .output import EXIT_BAD_INPUT, EXIT_INTERRUPTED

COMMANDS = {"demo": demo, "inspect": inspect, "verify": verify, "export": export, "compare": compare, "check": check}

# What a shell reports of a program that ended because nobody reads its output.
EXIT_BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what is not the user's doing escapes as an exception."""
    try:
        args = build(COMMANDS).parse_args(argv)
        with logged() if getattr(args, "verbose", 0) > 1 else nullcontext():
            return args.run(args)
    except QbitsatError as error:
        print(f"qbitsat: error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


@contextmanager
def logged() -> Iterator[None]:
    """What qbitsat logs goes to standard error."""
    logger, handler = logging.getLogger("qbitsat"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("qbitsat: %(message)s"))
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def entry() -> None:
    """The console script and `python -m qbitsat`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where it was closed; and file names need not fit the terminal's encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        code = main()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_BROKEN_PIPE
    sys.exit(code)
