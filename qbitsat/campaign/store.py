"""The store of results: one JSON object a line, written as soon as a query ends."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import InputError
from ..network import Network
from ..network.reference import first_maximum
from ..options import make_options
from ..verify import Verdict
from .queries import Task

RESULTS = "results.jsonl"


def record(task: Task, verdict: Verdict, network: Network, options: dict[str, Any]) -> dict[str, Any]:
    """All that is known of a finished query, as JSON values. witness is the flat input; all options are there, defaults too."""
    witness = verdict.witness
    return {
        "sample": task.sample,
        "input_sha256": input_sha256(task.x),
        "eps": task.eps,
        "label": task.label,
        "target": task.target,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "engine": verdict.engine,
        "seconds": round(verdict.seconds, 6),
        "cpu_seconds": round(verdict.cpu_seconds, 6),
        "witness": witness and [int(v) for v in witness.inputs[0]],
        "witness_outputs": witness and [int(v) for v in witness.outputs[0]],
        "witness_class": witness and first_maximum(witness.outputs[0]),
        "certificate": verdict.certificate or None,
        "statistics": verdict.statistics,
        "options": vars(make_options(**options)),
        "network_sha256": network.sha256,
        "version": __version__,
    }


def input_sha256(x: np.ndarray) -> str:
    """Hash of a sample: its elements in order, each as eight bytes, little-endian, two's complement."""
    return hashlib.sha256(np.ascontiguousarray(x, "<i8").tobytes()).hexdigest()


class Store:
    """A folder with results.jsonl; made, with the folders above it, when the store is opened. Used in a `with`.

    Results that are there already are refused unless `overwrite` says to replace them. certificates is a folder to make, too.
    """

    def __init__(self, folder: Path, overwrite: bool = False, certificates: Path | None = None):
        self.path = folder / RESULTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if certificates is not None:
                certificates.mkdir(exist_ok=True)
            self._stream = open(self.path, "w" if overwrite else "x", encoding="utf-8")  # noqa: SIM115
        except FileExistsError as error:
            if folder.is_dir():
                raise InputError(f"{self.path}: exists already; expected a folder without results, or --overwrite") from error
            raise InputError(f"{folder}: is a file, expected a folder") from error
        except OSError as error:
            raise InputError(f"{folder}: can't be written: {error.strerror}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        # Every write flushes; what fails here has failed, and was reported, there.
        with suppress(OSError):
            self._stream.close()

    def write(self, entry: dict[str, Any]) -> None:
        """Append one record; it is in the file when this returns."""
        try:
            self._stream.write(json.dumps(entry) + "\n")
            self._stream.flush()
        except OSError as error:
            raise InputError(f"{self.path}: can't be written: {error.strerror}") from error
