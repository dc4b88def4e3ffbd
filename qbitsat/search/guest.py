"""Work that is done in steps while a child process is stopped, so that both have their share of one core.

A SAT solver cannot be asked to rest, and starting it anew loses what it has learned. A search can rest after every step. So the search is a
guest of whoever waits for the solver: `processes.call_in_child` stops the child for as long as its guest works, unless each has a core.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from ..errors import UnsupportedError
from ..limits import LimitReached, Limits

Answer = TypeVar("Answer")
# Seconds between two looks at a host that goes on.
TURN = 0.05


def drained(steps: Generator[None, None, Answer]) -> Answer:
    """What steps return at their end, without a rest."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Settled(Exception):  # noqa: N818 (a result, not an error)
    """The guest has an answer, and nobody needs the child any more."""

    def __init__(self, answer: Any):
        super().__init__(answer)
        self.answer = answer


class Guest:
    """Steps, whose answer raises `Settled` where `wanted` says so.

    The host is alone for so many seconds, and from then on the guest gets `share` of what the host has had; an infinite share is for a host
    that goes on meanwhile. A guest that has to end, as memory or processes are not to be had, or for a query that it can't work on, leaves
    the host alone.
    """

    def __init__(self, steps: Generator[None, None, Any], wanted: Callable[[Any], bool], limits: Limits, share: float, alone: float):
        self.steps, self.wanted, self.limits, self.share, self.alone = steps, wanted, limits, share, alone
        self.since, self.spent, self.left = limits.seconds(), 0.0, True
        self.beside = share == math.inf

    def due(self) -> bool:
        """Whether it is the guest's turn."""
        host = self.limits.seconds() - self.since - self.spent
        return self.left and host >= self.alone and self.spent < self.share * host

    def work(self, seconds: float | None = None) -> None:
        """One turn, of so many seconds where it is not due yet."""
        start = self.limits.seconds()
        if seconds is None and self.beside:
            seconds = TURN
        due = self.share * (start - self.since - self.spent) if seconds is None else self.spent + seconds
        self.left = False
        try:
            while self.spent + self.limits.seconds() - start < due:
                next(self.steps)
            self.left = True
        except StopIteration as end:
            if self.wanted(end.value):
                raise Settled(end.value) from None
        except (LimitReached, UnsupportedError, MemoryError, OSError):  # the last one would say of the child that it has died
            self.limits.check()
        finally:
            self.spent += self.limits.seconds() - start
