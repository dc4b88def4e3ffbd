"""SIGTERM and SIGHUP end a command as Ctrl-C does: finished work is kept, children are ended, and the exit code names the signal."""

from __future__ import annotations

import os
import signal
from types import FrameType

# As Ctrl-C: what a scheduler or a closed terminal sends. Windows has no SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Ended(KeyboardInterrupt):
    """A signal of ENDING has come."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def listen() -> None:
    """Have the signals raise `Ended` in the main thread; what is ignored already, as by nohup, stays ignored."""
    listener, came = os.getpid(), list[int]()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != listener:  # a fork of ours, which has nothing to keep
            os._exit(128 + number)
        # They often come together, and the second one must not cut off the summary.
        if not came:
            came.append(number)
            raise Ended(number)

    for number in ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """What a shell says of a command that the signal ended."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)


def cause(interrupt: KeyboardInterrupt) -> str:
    """How to call what has ended the command."""
    return f"ended by {interrupt}" if isinstance(interrupt, Ended) else "interrupted"
