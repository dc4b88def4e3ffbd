"""Radii of many samples: tasks as of `plan`, what workers do with them, and lines of results.jsonl."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..certificate.write import Source, write
from ..errors import InputError
from ..network import Network
from ..optimize import OPTIMAL
from ..radii import Radius, radius
from ..verify import HOLDS, MISCLASSIFIED, SKIPPED, UNKNOWN, VIOLATED
from .queries import Task
from .resume import answers, are_there, check_agrees, witness_of
from .store import Store, of_run, of_task, of_witness
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
            "region": task.region,
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

    def limit(self, farthest: Any) -> int | None:
        """max_eps as a line says it: None where it leaves no distance out, as no input is farther than that."""
        return None if self.max_eps is None or (type(farthest) is int and farthest < self.max_eps) else self.max_eps

    def record(self, task: Task, found: Radius, certificates: list[str]) -> dict[str, Any]:
        """A line of results.jsonl, as JSON values."""
        return {
            "kind": "radius",
            "networks": {"net": self.network.sha256},
            **of_task(task),
            "norm": self.norm,
            "max_eps": self.limit(found.farthest),
            **{name: getattr(found, name) for name in ("verdict", "reason", *NUMBERS)},
            "seconds": round(found.seconds, 6),
            "cpu_seconds": round(found.cpu_seconds, 6),
            **of_witness(found.witness),
            "certificates": certificates,
            "statistics": found.statistics,
            **of_run(self.network, self.options),
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

    def key(place: str, entry: dict[str, Any]) -> tuple[int]:
        sample = entry.get("sample")
        if type(sample) is not int or entry.get("kind") != "radius":
            raise InputError(f"{place}: expected a line of `radius` about a sample")
        check_agrees(place, "norm", entry.get("norm"), measurer.norm)
        before = entry.get("max_eps")
        check_agrees(place, "largest distance", before, measurer.limit(entry.get("farthest")) if before is None else measurer.max_eps)
        return (sample,)

    def answer(entry: dict[str, Any], task: Task) -> Radius | None:
        if not _is_answer(entry, store.folder, measurer):
            return None
        numbers: dict[str, Any] = {name: entry.get(name) for name in NUMBERS}
        return Radius(entry["verdict"], witness=witness_of(entry, task.x.size), norm=measurer.norm, **numbers)

    keep, found = answers(store.path, {(task.sample,): task for task in tasks}, measurer.network, measurer.options, key, answer)
    store.keep(keep)
    return found


def _is_answer(entry: dict[str, Any], folder: Path, measurer: Measurer) -> bool:
    """Whether the line says the radius exactly, with certificates if these are asked for."""
    if entry.get("verdict") in (MISCLASSIFIED, SKIPPED):
        return True
    if entry.get("verdict") != OPTIMAL or any(type(entry.get(name)) is not int for name in NUMBERS):
        return False
    return measurer.certificates is None or are_there(entry.get("certificates"), folder)
