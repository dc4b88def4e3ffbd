"""The runs of a race, one JSON object a line and written as they end, so that a race that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qbitsat.campaign.compare import Backend, Run
from qbitsat.errors import InputError

from .draw import Drawn


def record(one: Drawn, run: Run) -> dict[str, Any]:
    """A run as JSON values."""
    task = one.task
    return {
        "network": one.name, "sample": task.sample, "eps": task.eps, "label": task.label, "tool": run.backend.name,
        "verdict": run.verdict, "reason": run.reason, "seconds": round(run.seconds, 6), "by_bounds": bool(run.statistics["by_bounds"]),
    }  # fmt: skip


class Journal:
    """A file whose first line says under which conditions it was written, the timeout among them; every other line is a run.

    Raises `InputError` if the file was written under other conditions.
    """

    def __init__(self, path: Path, conditions: dict[str, Any]):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # A line that a kill cut short has no end yet.
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        entries = [json.loads(line) for line in lines if line.endswith("\n")] or [conditions]
        for key, value in conditions.items():
            if entries[0].get(key) != value:
                raise InputError(f"{path}: line 1 has {key} {entries[0].get(key)!r}, expected {value!r}, or no file to go on with")
        self.entries = entries[1:]
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
        os.replace(partial, path)

    def add(self, one: Drawn, run: Run) -> None:
        """Append a run; it is in the file when this returns."""
        with open(self.path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(record(one, run)) + "\n")

    def runs(self, drawn: Sequence[Drawn], tools: Sequence[str]) -> list[Run]:
        """The runs that are there of these queries and tools."""
        tasks = {(one.name, one.task.sample, one.task.eps): one.task for one in drawn}
        return [
            Run(task, Backend(e["tool"]), e["verdict"], e["reason"], e["seconds"], {"by_bounds": float(e["by_bounds"])})
            for e in self.entries
            if e["tool"] in tools and (task := tasks.get((e["network"], e["sample"], e["eps"])))
        ]
