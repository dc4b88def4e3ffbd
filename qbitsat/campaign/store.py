"""The store of results: one JSON object a line, written as soon as a query ends."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..importers.files import replacing
from ..network import Network
from ..network.reference import first_maximum
from ..options import make_options
from ..properties import Witness
from ..verify import Verdict
from .lock import Lock
from .queries import Task, Verifier
from .resume import finished, input_sha256

RESULTS, CERTIFICATES = "results.jsonl", "certificates"
# What names of certificates begin with, but for those of question files, which have the file's.
NAMED = ("sample", "range", "overflow", "gap", "monotone", "agree", "equal")


def record(task: Task, verdict: Verdict, network: Network, options: dict[str, Any]) -> dict[str, Any]:
    """All that is known of a finished query, as JSON values. witness is the flat input; all options are there, defaults too."""
    return {
        **of_task(task),
        "eps": task.eps,
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "engine": verdict.engine,
        "seconds": round(verdict.seconds, 6),
        "cpu_seconds": round(verdict.cpu_seconds, 6),
        **of_witness(verdict.witness),
        "certificate": verdict.certificate or None,
        "statistics": verdict.statistics,
        **of_run(network, options),
    }


def of_task(task: Task) -> dict[str, Any]:
    """What a line says of the question of a task."""
    asked = {name: getattr(task, name) for name in ("region", "label", "target", "ties")}
    return {"sample": task.sample, "input_sha256": input_sha256(task.x), **asked}


def of_witness(witness: Witness | None) -> dict[str, Any]:
    """And of a witness."""
    return {
        "witness": witness and [int(v) for v in witness.inputs[0]],
        "witness_outputs": witness and [int(v) for v in witness.outputs[0]],
        "witness_class": witness and first_maximum(witness.outputs[0]),
    }


def of_run(network: Network, options: dict[str, Any]) -> dict[str, Any]:
    """And of the command."""
    about = {"network_sha256": network.sha256, "runtime": network.runtime or None, "version": __version__}
    return {"options": vars(make_options(**options)), **about}


class Store:
    """A folder with results.jsonl; made, with the folders above it, and locked, when the store is opened. Used in a `with`.

    Results that are there already are refused, unless `overwrite` says to replace them and their certificates, or `resume` to go on;
    None of a command that can't.
    certificates is a folder to make, too. unlocked says why the folder could not be locked, where that is so.
    """

    def __init__(self, folder: Path, overwrite: bool = False, certificates: Path | None = None, resume: bool | None = False):
        self.folder, self.path = folder, folder / RESULTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise InputError(f"{folder}: is a file, expected a folder") from error
        except OSError as error:
            raise InputError(f"{folder}: can't be written: {error.strerror}") from error
        self._lock = Lock(folder)
        try:
            self._open(overwrite, resume)
            if certificates is not None:
                certificates.mkdir(exist_ok=True)
                sweep(certificates)
        except FileExistsError as error:
            self._lock.release()
            choice = ", or --overwrite" if resume is None else ", --resume or --overwrite"
            raise InputError(f"{self.path}: exists already; expected a folder without results{choice}") from error
        except OSError as error:
            self._lock.release()
            raise InputError(f"{folder}: can't be written: {error.strerror}") from error
        self.unlocked = self._lock.refusal

    def _open(self, overwrite: bool, resume: bool | None) -> None:
        # Append: what is written after a truncation follows the last whole line.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (0 if overwrite or resume else os.O_EXCL)
        self._file = os.open(self.path, flags, 0o666)
        if overwrite:
            with suppress(OSError):  # a device has no length
                os.ftruncate(self._file, 0)
            for name in NAMED:
                for path in (self.folder / CERTIFICATES).glob(f"{name}*_*.cert"):
                    path.unlink()
        self._end = os.fstat(self._file).st_size

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            os.close(self._file)
        except OSError as error:  # some network file systems tell of a full disk only now
            raise InputError(f"{self.path}: can't be written: {error.strerror}") from error
        finally:
            self._lock.release()

    def finished(self, tasks: Sequence[Task], verifier: Verifier) -> dict[int, Verdict]:
        """The verdicts that are there already, by the index of their task; lines of these tasks that don't count are taken out.

        See `resume.finished` for what counts.
        """
        kept, verdicts = finished(self.path, tasks, verifier)
        self.keep(kept)
        return verdicts

    def keep(self, kept: set[int] | None) -> None:
        """Take out all lines but those of these numbers; None for none."""
        if kept is not None:
            os.close(self._file)
            with open(self.path, "rb") as old, replacing(self.path) as new:
                new.writelines(line for number, line in enumerate(old) if number in kept)
            self._open(False, True)

    def write(self, entry: dict[str, Any]) -> None:
        """Append one record; it is in the file when this returns, and if there is no room for it, nothing of it is."""
        left = memoryview(json.dumps(entry).encode() + b"\n")
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise InputError(f"{self.path}: can't be written: {error.strerror}") from error
        self._end = os.fstat(self._file).st_size


def sweep(folder: Path) -> None:
    """Take away what writers that were killed left unfinished; the folder is locked, so that nobody is writing."""
    for path in folder.glob("*.partial"):
        path.unlink(missing_ok=True)
