"""Which certificates a path stands for, and what a folder of results says that they prove."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, QbitsatError
from ..importers.files import one_line, open_input
from ..importers.qbitsat_file import shown, without_duplicates
from .check import HOLDS, VIOLATED, Checked, Means, check_file

RESULTS, SUFFIX = "results.jsonl", ".cert"
MAX_LINE = 1 << 24


class Item(NamedTuple):
    """A certificate to check, None if there should be one but is not, and the line of results.jsonl that it belongs to, if any."""

    path: Path | None
    place: str
    entry: dict[str, Any] | None = None


def items(path: Path) -> list[Item]:
    """A file; or of a folder what its results.jsonl names, else every .cert file in it or below. Raises `InputError`."""
    if not path.is_dir():
        return [Item(path, str(path))]
    if (path / RESULTS).exists():
        return list(_named(path))
    found = sorted(file for file in path.rglob(f"*{SUFFIX}") if file.is_file())
    if not found:
        raise InputError(f"{path}: has no {RESULTS} and no {SUFFIX} files, expected certificates")
    return [Item(file, str(file)) for file in found]


def _named(folder: Path) -> Iterator[Item]:
    """The verdicts of a results.jsonl that need a certificate."""
    path = folder / RESULTS
    with open_input(path) as stream:
        number = 0
        while line := stream.readline(MAX_LINE):
            number += 1
            place = f"{path}: line {number}"
            try:
                entry = json.loads(line, object_pairs_hook=without_duplicates)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place}: not valid JSON: {one_line(error)}") from error
            if not isinstance(entry, dict):
                raise InputError(f"{place}: expected a JSON object")
            if entry.get("verdict") in (HOLDS, VIOLATED):
                name = entry.get("certificate")
                if name is not None and not (type(name) is str and name.isprintable() and _is_inside(name)):
                    raise InputError(f"{place}: certificate {shown(name)}, expected a file in {folder}")
                yield Item(None if name is None else folder / name, place, entry)


def _is_inside(name: str) -> bool:
    """Whether a name stays in the folder that it is relative to."""
    return not os.path.isabs(name) and ".." not in Path(name).parts


def check_item(item: Item, means: Means) -> Checked | QbitsatError:
    """What comes of a certificate; an error if it can't be read."""
    if item.path is None:
        return Checked(item.place, False, "the verdict has no certificate", 0.0, item.entry["verdict"], "", None)  # type: ignore[index]
    try:
        checked = check_file(item.path, means)
    except QbitsatError as error:
        return error
    if checked.accepted and (reason := _contradiction(item, checked)):
        checked = replace(checked, accepted=False, reason=reason)
    # It may go through a pipe, which nested values of a stranger should not.
    about = {key: value for key, value in checked.header["query"].items() if type(value) in (int, str)}
    return replace(checked, query=None, header={"query": about, "networks": checked.header["networks"]})


def _contradiction(item: Item, checked: Checked) -> str:
    """Where the line of results.jsonl says something else than the certificate proves; else empty."""
    said, proved = item.entry, checked.header["query"]
    if said is None:
        return ""
    if proved["kind"] != "robustness":
        return f"{item.place} is about robustness, the certificate is not"
    pairs = [(key, said.get(key), proved.get(key)) for key in ("sample", "eps", "label", "target")]
    pairs.append(("verdict", said["verdict"], checked.verdict))
    pairs.append(("network_sha256", said.get("network_sha256"), checked.header["networks"][0]["sha256"]))
    return next((f"{item.place} says {key} {shown(a)}, the certificate {shown(b)}" for key, a, b in pairs if a != b), "")
