"""Radii of many samples: tasks as of `plan`, what workers do with them, and lines of results.jsonl."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..certificate.write import Source, write
from ..errors import InputError
from ..network import Network
from ..network.reference import first_maximum
from ..optimize import OPTIMAL
from ..options import make_options
from ..radii import Radius, radius
from ..verify import HOLDS, MISCLASSIFIED, SKIPPED, UNKNOWN, VIOLATED
from .queries import Task
from .resume import check_agrees, check_options, entries, input_sha256, witness_of
from .store import Store
from .workers import run

NUMBERS = ("radius", "upper", "farthest")


@dataclass(frozen=True, eq=False)
class Measurer:
    """What a worker does with a task; see `queries.Verifier`. max_eps is the largest distance of interest, None for all."""

    network: Network
    options: dict[str, Any]
    norm: str
    max_eps: int | None = None
    certificates: Path | None = None
    source: Source | None = None

    def __call__(self, task: Task) -> tuple[Radius, list[str]]:
        """The radius of a task's sample, and the names of its certificates."""
        asked: dict[str, Any] = {
            "norm": self.norm,
            "target": task.target,
            "ties": task.ties,
            "max_eps": self.max_eps,
            "sample": task.sample,
        }
        found = radius(self.network, task.x, task.label, **asked, **{**self.options, "jobs": 1})
        names: list[str] = []
        if self.certificates is None:
            return found, names
        paths = {name: self.certificates / f"sample{task.sample}_{self.norm}_{name.lower()}.cert" for name in (HOLDS, VIOLATED)}
        for path in paths.values():
            path.unlink(missing_ok=True)  # of an earlier run that was killed before it could write its line
        for query, verdict in found.certificates:
            path = paths[verdict.verdict]
            write(path, query, verdict, None if self.source is None else [self.source])
            names.append(f"{self.certificates.name}/{path.name}")
        return replace(found, certificates=()), names

    def record(self, task: Task, found: Radius, certificates: list[str]) -> dict[str, Any]:
        """A line of results.jsonl, as JSON values."""
        witness = found.witness
        return {
            "kind": "radius",
            "sample": task.sample,
            "input_sha256": input_sha256(task.x),
            **{name: getattr(task, name) for name in ("label", "target", "ties")},
            "norm": self.norm,
            "max_eps": self.max_eps,
            **{name: getattr(found, name) for name in ("verdict", "reason", *NUMBERS)},
            "seconds": round(found.seconds, 6),
            "cpu_seconds": round(found.cpu_seconds, 6),
            "witness": witness and [int(v) for v in witness.inputs[0]],
            "witness_outputs": witness and [int(v) for v in witness.outputs[0]],
            "witness_class": witness and first_maximum(witness.outputs[0]),
            "certificates": certificates,
            "statistics": found.statistics,
            "options": vars(make_options(**self.options)),
            "network_sha256": self.network.sha256,
            "runtime": self.network.runtime or None,
            "version": __version__,
        }


def lost(task: Task, reason: str, seconds: float, cpu: float) -> tuple[Radius, list[str]]:
    """What is known of a task whose process died."""
    return Radius(UNKNOWN, reason=reason, seconds=seconds, cpu_seconds=cpu), []


def radii(measurer: Measurer, tasks: Sequence[Task], jobs: int) -> Generator[tuple[Task, Radius, list[str]], None, None]:
    """Every task with its radius and its certificates, in the order of completion; settled tasks come first."""
    for task in tasks:
        if task.settled is not None:
            yield task, Radius(task.settled.verdict, reason=task.settled.reason, norm=measurer.norm), []
    for task, (found, names) in run(measurer, [task for task in tasks if task.settled is None], jobs, lost):
        yield task, found, names


def finished_radii(store: Store, tasks: Sequence[Task], measurer: Measurer) -> dict[int, Radius]:
    """The radii that are in a store already, by the index of their task; lines of these tasks that don't count are taken out.

    All lines must be of the same command: see `resume.finished`. What is open, or has lost its certificates, is asked again.
    """
    wanted, options = {task.sample: task for task in tasks}, vars(make_options(**measurer.options))
    keep, found, seen, number = set[int](), dict[int, Radius](), set[int](), -1
    with open(store.path, "rb") as stream:
        for number, place, entry in entries(stream, store.path):
            if entry is None:
                continue
            sample = entry.get("sample")
            if type(sample) is not int or sample in seen or entry.get("kind") != "radius":
                raise InputError(f"{place}: expected a line of `radius` about a sample that has none yet")
            seen.add(sample)
            check_agrees(place, "network", entry.get("network_sha256"), measurer.network.sha256)
            check_agrees(place, "norm", entry.get("norm"), measurer.norm)
            check_agrees(place, "largest distance", entry.get("max_eps"), measurer.max_eps)
            check_options(place, entry.get("options"), options)
            task = wanted.get(sample)
            if task is not None:
                check_agrees(place, "input", entry.get("input_sha256"), input_sha256(task.x))
                for name in ("label", "target", "ties"):
                    check_agrees(place, name, entry.get(name), getattr(task, name))
                if not _is_answer(entry, store.folder, measurer):
                    continue
                numbers: dict[str, Any] = {name: entry.get(name) for name in NUMBERS}
                witness = witness_of(entry, task.x.size)
                found[task.index] = Radius(entry["verdict"], witness=witness, norm=measurer.norm, **numbers)
            keep.add(number)
    store.keep(None if len(keep) == number + 1 else keep)
    return found


def _is_answer(entry: dict[str, Any], folder: Path, measurer: Measurer) -> bool:
    """Whether the line says the radius exactly, with certificates if these are asked for."""
    if entry.get("verdict") in (MISCLASSIFIED, SKIPPED):
        return True
    if entry.get("verdict") != OPTIMAL or any(type(entry.get(name)) is not int for name in NUMBERS):
        return False
    names = entry.get("certificates")
    if measurer.certificates is None:
        return True
    return isinstance(names, list) and bool(names) and all(isinstance(n, str) and os.path.isfile(folder / n) for n in names)
