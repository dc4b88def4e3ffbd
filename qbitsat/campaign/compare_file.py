"""compare.json: everything about a comparison, complete after every run."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..importers.files import replacing
from ..network import Network
from ..solvers.smt import PACKAGES
from .compare import Backend, Run, Standing
from .lock import Lock

COMPARISON = "compare.json"


class ComparisonFile:
    """The file in a folder, which is made, and locked until the `with` ends; a file that is there is refused unless `overwrite`."""

    def __init__(self, folder: Path, overwrite: bool, networks: Sequence[Network], options: dict[str, Any], backends: Sequence[Backend]):
        self.path = folder / COMPARISON
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}, expected a folder that can be written") from error
        self._lock = Lock(folder)
        self.unlocked = self._lock.refusal
        if self.path.exists() and not overwrite:
            self._lock.release()
            raise InputError(f"{self.path}: exists already; expected a folder without a comparison, or --overwrite")
        named = [{"name": network.name, "sha256": network.sha256} for network in networks]
        self.content: dict[str, Any] = {
            "machine": machine(),
            "versions": versions(backends),
            **({"network": named[0]} if len(named) == 1 else {"networks": named}),
            "options": options,
            "backends": [{"as": str(backend), **asdict(backend)} for backend in backends],
            "runs": [],
            "standings": [],
        }
        self._write()

    def __enter__(self) -> ComparisonFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def add(self, run: Run) -> None:
        """Append a run; it is in the file when this returns."""
        self.content["runs"].append(
            {
                **run.task.about,
                "backend": str(run.backend),
                "verdict": run.verdict,
                "reason": run.reason,
                "seconds": round(run.seconds, 6),
                "statistics": run.statistics,
            }
        )
        self._write()

    def finish(self, standings: Sequence[Standing]) -> None:
        """Add what the runs come to."""
        rows = [{**asdict(standing), "backend": str(standing.backend)} for standing in standings]
        self.content["standings"] = [
            {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()} for row in rows
        ]
        self._write()

    def _write(self) -> None:
        with replacing(self.path, sync=False) as stream:
            stream.write(json.dumps(self.content, indent=1).encode() + b"\n")


def machine() -> dict[str, Any]:
    """What the times depend on, as far as the system tells."""
    processor = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), processor)
    except OSError:
        pass
    return {"platform": platform.platform(), "processor": processor, "cores": os.cpu_count()}


def versions(backends: Sequence[Backend]) -> dict[str, str]:
    """Versions of Python, of qbitsat and of the packages behind the backends."""
    packages = dict.fromkeys(PACKAGES.get(backend.name, "python-sat") for backend in backends)
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "unknown"
    return {"python": platform.python_version(), "qbitsat": __version__, **found}
