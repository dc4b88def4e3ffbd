"""Ctrl-C while the command line is imported: an end without a traceback, before `cli.signals` listens. The package imports it first."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def leave(number: int, _: FrameType | None) -> None:
    """As a shell says of a command that the signal ended; nothing is begun yet that would have to be ended in order."""
    os._exit(128 + number)


def is_command() -> bool:
    """Whether this process is `qbitsat` or `python -m qbitsat`, and no program that imports it."""
    script = os.path.splitext(os.path.basename(sys.argv[0]))[0] if sys.argv else ""
    return script == "qbitsat" or (script == "-m" and "qbitsat" in sys.orig_argv)


# What is ignored, and what a program that imports qbitsat does with Ctrl-C, stays as it is.
if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, leave)
