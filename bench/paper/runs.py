"""What has been run, one JSON object a line: a killed process loses nothing that was finished."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

DECIDED = ("HOLDS", "VIOLATED", "MISCLASSIFIED", "OPTIMAL")


class Runs:
    """Records by their keys; the file is made when the first is added."""

    def __init__(self, path: Path):
        self.path, self.known = path, dict[str, dict[str, Any]]()
        whole = path.read_bytes() if path.exists() else b""
        # What was cut off in the middle of a line is asked again.
        whole = whole[: whole.rfind(b"\n") + 1]
        for line in whole.splitlines():
            entry = json.loads(line)
            self.known[entry["key"]] = entry
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)
        self._stream = open(path, "ab")  # noqa: SIM115 (closed in __exit__)

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def get(self, key: str, timeout: float) -> dict[str, Any] | None:
        """The record, if it is decided, or was given at least as long."""
        entry = self.known.get(key)
        return entry if entry and (entry["verdict"] in DECIDED or entry["timeout"] >= timeout) else None

    def add(self, key: str, **values: Any) -> dict[str, Any]:
        """Keep a record, on disk when this returns."""
        entry = {"key": key, **values}
        self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._stream.flush()
        self.known[key] = entry
        return entry
