"""Robustness of many samples: one task a query, and the verdicts as they come."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..certificate.write import Source, write
from ..errors import ArgumentError
from ..limits import cpu_seconds
from ..network import Network, classify, forward
from ..network.inference import classes_of
from ..properties import Query, robustness
from ..properties.region import distances, region_of
from ..properties.robustness import ARGMAX, KEPT, class_of, count_classes, rule_of
from ..verify import HOLDS, VIOLATED, Verdict, settle, verify
from .workers import run


@dataclass(frozen=True, eq=False)
class Task:
    """One query: does the network keep `label` (or avoid `target`) within eps input steps of x, int64[size]?

    region says which elements may move, and how far: see `properties/region.py`; ties is one of `properties.robustness.TIES`. index counts
    tasks in the order asked for.
    settled is the verdict of a task that needs no verification.
    """

    index: int
    sample: int
    eps: int
    x: np.ndarray
    label: int
    target: int | None = None
    settled: Verdict | None = None
    region: str | None = None
    ties: str = ARGMAX

    @property
    def stem(self) -> str:
        """What its files are called, before the ending."""
        target = "" if self.target is None else f"_target{self.target}"
        return f"sample{self.sample}_eps{self.eps}{target}"

    @property
    def title(self) -> str:
        """What lines call it."""
        return f"sample {self.sample}  eps {self.eps}"

    @property
    def about(self) -> dict[str, Any]:
        """What files say of it."""
        return {"sample": self.sample, "eps": self.eps, "label": self.label, "target": self.target, "ties": self.ties}


@dataclass(frozen=True, eq=False)
class Asked:
    """One query by itself, as of a question file; the other fields are as of `Task`."""

    query: Query
    stem: str
    index: int = 0
    settled: None = None

    @property
    def title(self) -> str:
        return self.stem

    @property
    def about(self) -> dict[str, Any]:
        return {"question": self.stem}


def plan(
    network: Network,
    inputs: np.ndarray,
    labels: np.ndarray | None,
    samples: Sequence[int],
    epsilons: Sequence[int],
    target: int | None = None,
    region: str | None = None,
    ties: str = ARGMAX,
) -> list[Task]:
    """The tasks of every sample at every eps, samples outermost; without labels the network's class is the label.

    inputs int64[n, size], labels int64[n]. A sample whose label the network misses, or whose label is the target, is
    settled beforehand. Raises `InputError` for a label or target that is no class of the network, and for a region that it does not have.
    """
    region = None if region is None else region_of(0, network.input, region)[1]
    distances(region, network.input.shape, 0)
    classes = count_classes(network)
    target = None if target is None else class_of(target, "target", classes)
    predicted, is_kept = classify(network, inputs[list(samples)]).tolist(), rule_of(ties) == KEPT
    tasks: list[Task] = []
    for sample, network_class in zip(samples, predicted, strict=True):
        label = network_class if labels is None else int(labels[sample])
        if not 0 <= label < classes:
            raise ArgumentError("labels", f"sample {sample} has label {label}, expected a class in [0, {classes - 1}]")
        if is_kept and label != network_class:
            network_class = int(classes_of(forward(network, inputs[[sample]]), label)[0])
        settled = settle(network_class, label, target)
        tasks += [Task(len(tasks) + k, sample, eps, inputs[sample], label, target, settled, region, ties) for k, eps in enumerate(epsilons)]
    return tasks


def query_of(task: Task | Asked, network: Network) -> Query:
    """A task's question."""
    if isinstance(task, Asked):
        return task.query
    return robustness(network, task.x, task.eps, task.label, task.target, ties=task.ties, region=task.region, sample=task.sample)


@dataclass(frozen=True, eq=False)
class Verifier:
    """What a worker does with a task; holds the network, so that it is handed over once and not with every task.

    certificates is the folder for them, which is there, with the option of that name. source is how a checker finds the network.
    """

    network: Network
    options: dict[str, Any]
    certificates: Path | None = None
    source: Source | None = None

    def decide(self, task: Task, query: Query) -> Verdict:
        """The verdict of a task's question, which has been built."""
        return verify(query, **self.options)

    def __call__(self, task: Task) -> Verdict:
        query = query_of(task, self.network)
        verdict = self.decide(task, query)
        if self.certificates is None:
            return replace(verdict, proof=None)
        path = self.certificates / certificate_name(task)
        if verdict.verdict not in (HOLDS, VIOLATED):
            path.unlink(missing_ok=True)  # of an earlier run that was killed before it could write the verdict
            return replace(verdict, proof=None)
        sources = None if self.source is None else [self.source]
        start, cpu = time.monotonic(), cpu_seconds()
        write(path, query, verdict, sources)
        writing = time.monotonic() - start
        # The proof is in the file, and need not go through a pipe. Who asks for a certificate waits for it, too.
        return replace(
            verdict,
            proof=None,
            certificate=f"{self.certificates.name}/{path.name}",
            seconds=verdict.seconds + writing,
            cpu_seconds=verdict.cpu_seconds + cpu_seconds() - cpu,
            statistics={**verdict.statistics, "certificate_seconds": writing},
        )


def certificate_name(task: Task) -> str:
    """The task's file in the folder of certificates."""
    return f"{task.stem}.cert"


def verdicts(verifier: Verifier, tasks: Sequence[Task], jobs: int) -> Generator[tuple[Task, Verdict], None, None]:
    """Every task with its verdict, in the order of completion; settled tasks come first.

    jobs counts processes in all; with more of them than open tasks, each task's own search gets an equal part.
    """
    for task in tasks:
        if task.settled is not None:
            yield task, task.settled
    unsettled = [task for task in tasks if task.settled is None]
    verifier = replace(verifier, options={**verifier.options, "jobs": max(1, jobs // max(1, len(unsettled)))})
    yield from run(verifier, unsettled, jobs)
