"""SIGTERM and SIGHUP end a command as Ctrl-C does: finished work is kept, children are ended, and the exit code names the signal."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ..starting import leave

# As Ctrl-C: what a scheduler or a closed terminal sends. Windows has no SIGHUP.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))

# Seconds after a signal in which others change nothing.
PATIENCE = 3.0


class Ended(KeyboardInterrupt):
    """A signal of ENDING has come."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def listen() -> None:
    """Have the signals raise `Ended` in the main thread, Ctrl-C too; what is ignored already, as by nohup, stays ignored."""
    listener, came = os.getpid(), list[float]()

    def end(number: int, _: FrameType | None) -> None:
        if os.getpid() != listener:  # a fork of ours, which has nothing to keep
            os._exit(128 + number)
        if not came:
            came.append(time.monotonic())
            raise Ended(number) if number != signal.SIGINT else KeyboardInterrupt
        # They often come together, and the second one must not cut off the end of the workers and the summary; one that comes later
        # is of somebody who waits: children die with this process.
        if time.monotonic() - came[0] > PATIENCE:
            os._exit(128 + number)

    for number in (signal.SIGINT, *ENDING):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler, leave):
            signal.signal(number, end)


def deaf() -> None:
    """From now on the signals change nothing: the exit code is known, and Python on its way out would die of them."""
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)


def exit_code(interrupt: KeyboardInterrupt) -> int:
    """What a shell says of a command that the signal ended."""
    return 128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT)


def ended(interrupt: KeyboardInterrupt, finished: str) -> int:
    """Say what has ended the command, and what is finished; the exit code."""
    cause = f"ended by {interrupt}" if isinstance(interrupt, Ended) else "interrupted"
    print(f"qbitsat: {cause}; {finished}", file=sys.stderr)
    return exit_code(interrupt)


@contextmanager
def interrupts_say(one: str, many: str, finished: Callable[[], int]) -> Iterator[None]:
    """An interrupt says how many are finished by then, of what these are the words for, and goes on."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        count = finished()
        ended(interrupt, f"{count} {one} is finished" if count == 1 else f"{count} {many} are finished")
        raise
