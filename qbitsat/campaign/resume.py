"""Which lines of an earlier run's results.jsonl are answers to the queries of this one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from ..arithmetic import INT32
from ..errors import InputError
from ..importers.files import one_line
from ..network import Network
from ..options import make_options
from ..properties import Witness
from ..properties.robustness import ARGMAX
from ..verify import HOLDS, MISCLASSIFIED, SKIPPED, VIOLATED, Verdict
from .queries import Task, Verifier

# Options of which no verdict depends on more than whether there is one in time.
LIMITS = ("timeout", "memory", "conflicts", "jobs")
MAX_LINE = 1 << 24

# What makes a line one of its own, as (sample, eps, target).
Key = tuple[Any, ...]
R = TypeVar("R")


def finished(path: Path, tasks: Sequence[Task], verifier: Verifier) -> tuple[set[int] | None, dict[int, Verdict]]:
    """The numbers of the lines to keep, None for all, and the verdicts of tasks that need not be verified again, by index.

    All lines must be about the verifier's network and have its options, except limits and jobs; those about the sample, eps and
    target of a task must be about the same input, label, region and rule for ties. Otherwise `InputError` names the line: nothing is mixed,
    or lost.
    Kept are whole lines that decide their query, with certificates those whose file is there, and all lines about other queries.
    What is cut off at the end, UNKNOWN, or has lost its certificate, is asked again.
    """

    def key(place: str, entry: dict[str, Any]) -> Key:
        found = entry.get("sample"), entry.get("eps"), entry.get("target")
        if any(value is not None and type(value) is not int for value in found):
            raise InputError(f"{place}: sample, eps or target is no whole number; expected results of the same command")
        return found

    def answer(entry: dict[str, Any], task: Task) -> Verdict | None:
        if not _is_answer(entry, path.parent, verifier):
            return None
        engine, witness = str(entry.get("engine") or ""), witness_of(entry, task.x.size)
        return Verdict(entry["verdict"], str(entry.get("reason", "")), engine=engine, witness=witness)

    wanted: dict[Key, Task] = {(task.sample, task.eps, task.target): task for task in tasks}
    return answers(path, wanted, verifier.network, verifier.options, key, answer)


def answers(
    path: Path,
    wanted: Mapping[Key, Task],
    network: Network,
    options: dict[str, Any],
    key: Callable[[str, dict[str, Any]], Key],
    answer: Callable[[dict[str, Any], Task], R | None],
) -> tuple[set[int] | None, dict[int, R]]:
    """See `finished`: key gives what makes a line, at a place, one of its own; answer what it says of its task, None to ask again."""
    options = vars(make_options(**options))
    keep, seen, found, number = set[int](), set[Key](), dict[int, R](), -1
    with open(path, "rb") as stream:
        for number, place, entry in entries(stream, path):
            if entry is None:
                continue
            own = key(place, entry)
            check_agrees(place, "network", entry.get("network_sha256"), network.sha256)
            check_options(place, entry.get("options"), options)
            if own in seen:
                about = ", ".join(f"{name} {value}" for name, value in zip(("sample", "eps"), own, strict=False))
                raise InputError(f"{place}: a second line about {about}; expected one for each query")
            seen.add(own)
            task = wanted.get(own)
            if task is not None:
                check_agrees(place, "input", entry.get("input_sha256"), input_sha256(task.x))
                check_agrees(place, "label", entry.get("label"), task.label)
                check_agrees(place, "target", entry.get("target"), task.target)
                check_agrees(place, "region", entry.get("region"), task.region)
                check_agrees(place, "rule for ties", entry.get("ties", ARGMAX), task.ties)
                said = answer(entry, task)
                if said is None:
                    continue
                found[task.index] = said
            keep.add(number)
    return (None if len(keep) == number + 1 else keep), found


def input_sha256(x: np.ndarray) -> str:
    """Hash of a sample: its elements in order, each as eight bytes, little-endian, two's complement."""
    return hashlib.sha256(np.ascontiguousarray(x, "<i8").tobytes()).hexdigest()


def witness_of(entry: dict[str, Any], size: int) -> Witness | None:
    """The witness of a line, without outputs; who uses it replays it."""
    values = entry.get("witness")
    if not isinstance(values, list) or len(values) != size or not all(type(v) is int and INT32[0] <= v <= INT32[1] for v in values):
        return None
    return Witness((tuple(values),), ())


def entries(stream: BinaryIO, path: Path) -> Iterator[tuple[int, str, dict[str, Any] | None]]:
    """(number from 0, place, content) of every line; no content in a last line that is cut off."""
    number = 0
    while line := stream.readline(MAX_LINE):
        place = f"{path}: line {number + 1}"
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            yield number, place, None
            return
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
        if not isinstance(entry, dict):
            raise InputError(f"{place}: expected a JSON object")
        yield number, place, entry
        number += 1


def check_agrees(place: str, what: str, found: Any, wanted: Any) -> None:
    if found != wanted:
        raise InputError(
            f"{place}: is about another {what}, {str(found)[:16]} and not {str(wanted)[:16]}; expected results of the same command"
        )


def check_options(place: str, found: Any, wanted: dict[str, Any]) -> None:
    if not isinstance(found, dict):
        raise InputError(f"{place}: has no options, expected a line of this version's")
    for name in sorted(wanted.keys() | found.keys()):
        if name not in LIMITS and (name not in found or name not in wanted or found[name] != wanted[name]):
            said, asked = (str(values.get(name, "unknown")).lower() for values in (found, wanted))
            raise InputError(f"{place}: was found with the option {name} {said}, not {asked}; expected results of the same command")


def _is_answer(entry: dict[str, Any], folder: Path, verifier: Verifier) -> bool:
    """Whether the line decides its query, with a certificate if one is asked for."""
    if entry.get("verdict") in (MISCLASSIFIED, SKIPPED):
        return True
    if entry.get("verdict") not in (HOLDS, VIOLATED):
        return False
    return verifier.certificates is None or are_there([entry.get("certificate")], folder)


def are_there(names: Any, folder: Path) -> bool:
    """Whether these are names of files in a folder, one at least."""
    return isinstance(names, list) and bool(names) and all(isinstance(name, str) and os.path.isfile(folder / name) for name in names)
