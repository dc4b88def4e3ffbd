"""A folder of results, read and forged."""

import json
from collections.abc import Callable
from pathlib import Path


def entries(results: Path) -> list[dict]:
    return [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]


def put(results: Path, lines: list[dict]) -> None:
    (results / "results.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in lines))


def rewrite(results: Path, change: Callable[[dict], object]) -> None:
    """Change each line of results.jsonl in place."""
    lines = entries(results)
    for entry in lines:
        change(entry)
    put(results, lines)


def change_line(results: Path, number: int, /, **values) -> None:
    """Change the line of one sample."""
    rewrite(results, lambda entry: entry.update(values if entry["sample"] == number else {}))


def certificate(results: Path, sample: int) -> Path:
    return results / "certificates" / f"sample{sample}_eps1.cert"
