"""Threads that work side by side for one of them, on parts of what it has to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

Part = TypeVar("Part")
Made = TypeVar("Made")


class Team:
    """Threads that work on one thing. Each knows of its team alone; once that is dismissed it has to end, and nobody waits for it.

    size    how many
    leader  the thread that they work for, one of them
    errors  what failed in the others, the first one first
    """

    def __init__(self, size: int):
        self.size, self.leader = size, threading.get_ident()
        self.dismissed = False
        self.errors: list[BaseException] = []


class Dismissed(Exception):  # noqa: N818 (a result, not an error)
    """The team of this thread has nothing more to do."""


_OWN = threading.local()


def own_team() -> Team | None:
    """That of this thread while it works for one."""
    return getattr(_OWN, "team", None)


def leads() -> bool:
    """Whether this thread works for no other."""
    team = own_team()
    return team is None or team.leader == threading.get_ident()


def look() -> None:
    """Raise `Dismissed` where this thread has to end."""
    team = own_team()
    if team is not None and team.dismissed:
        raise Dismissed


def work_together(work: Callable[[Part], Made], parts: Sequence[Part]) -> list[Made]:
    """What `work` makes of each part: of the first in this thread, of each other in its own, or here where no thread can begin.

    What fails first is raised, and all others end at their next look.
    """
    team, made = Team(len(parts)), dict[int, Made]()

    def help_with(k: int) -> None:
        _OWN.team = team
        try:
            made[k] = work(parts[k])
        except BaseException as error:
            team.errors.append(error)
            team.dismissed = True

    begun = {k: threading.Thread(target=help_with, args=(k,), daemon=True, name=f"qbitsat-{k}") for k in range(1, len(parts))}
    try:
        _OWN.team = team
        for k, thread in list(begun.items()):
            try:
                thread.start()
            except RuntimeError:
                del begun[k]
        for k in [k for k in range(len(parts)) if k not in begun]:
            made[k] = work(parts[k])
        for thread in begun.values():
            thread.join()
        look()
    except BaseException as error:
        team.dismissed = True
        for thread in begun.values():
            with suppress(RuntimeError):  # not begun
                thread.join()
        if isinstance(error, Dismissed):
            raise team.errors[0] from None
        raise
    finally:
        _OWN.team = None
    return [made[k] for k in range(len(parts))]
