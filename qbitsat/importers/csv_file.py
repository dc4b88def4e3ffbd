"""Comma-separated numbers, one sample a line; and whether the first line is one of them."""

from __future__ import annotations

import csv
import io
import re
from typing import BinaryIO

import numpy as np

from ..errors import InputError
from .files import MAX_ELEMENTS, Path, damaged

INTEGERS = re.compile(r"[-+0-9, ]*")
NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*|\s*[-+]?(nan|inf)\s*", re.IGNORECASE)
# What names a column begins with a letter, and is no word for a value that is not there.
WORD = re.compile(r"\s*[^\W\d]", re.UNICODE)
MISSING = re.compile(r"\s*(|n/?a|nan|null|none|nil|missing|undefined|true|false|[-+]?inf(inity)?|[-?.]+|<na>)\s*", re.IGNORECASE)
CHOICE = "--header yes (in Python header=True) drops it, --header no keeps it"
SHOWN = 40
# Columns of these names are no inputs.
CLASSES = {"label", "labels", "class", "target", "y"}


def read_csv(stream: BinaryIO, path: Path, header: bool | None = None) -> np.ndarray:
    """Comma-separated numbers, one sample a line: [n, m].

    header says whether the first line is one; None leaves it to what stands there: words are a header, numbers are a sample,
    and what may be either is refused.
    """
    rows: list[np.ndarray] = []
    width, doubt, dropped = None, "", ""
    decoded = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    with decoded, damaged(str(path), ".csv text", (UnicodeDecodeError, csv.Error)):
        reader = csv.reader(decoded, strict=True)
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if not cells:
                continue
            if width is None:
                width = len(cells)
                refuse_separators(cells, place)
                is_header, doubt = (header, "") if header is not None else judge_first_line(cells, place)
                if is_header:
                    dropped = f" after {','.join(cells)[:SHOWN]!r}, which is taken for a header"
                    continue
            elif doubt:  # the only line of a file is a sample
                raise InputError(doubt)
            if len(cells) != width:
                raise InputError(f"{place}: {len(cells)} values, expected {width} as in the first line")
            if (len(rows) + 1) * width > MAX_ELEMENTS:
                raise InputError(f"{place}: more than {MAX_ELEMENTS} values")
            rows.append(parse_row(cells, place, first=not rows and header is None))
    if not rows:
        raise InputError(f"{path}: has no samples{dropped}")
    return np.stack(rows)


def refuse_separators(cells: list[str], place: str) -> None:
    """Raise `InputError` for a first line whose values are separated otherwise, perhaps with decimal commas."""
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        for cell in cells:
            pieces = cell.split(separator)
            if len(pieces) > 1 and (len(cells) == 1 or all(NUMBER.fullmatch(piece) for piece in pieces)):
                raise InputError(
                    f"{place}: {','.join(cells)[:SHOWN]!r} has values separated by {name}, expected commas, and decimal points"
                )


def judge_first_line(cells: list[str], place: str) -> tuple[bool, str]:
    """Whether it is a header, and why it may be one even so; raises `InputError` where nobody could tell."""
    shown = ",".join(cells[:5])[:SHOWN] + ("..." if len(cells) > 5 else "")
    if len(cells) > 1 and re.fullmatch(r"\s*(Unnamed: 0)?\s*", cells[0]):
        raise InputError(f"{place}: {shown!r} begins like a data frame written with its index; expected one written with index=False")
    numbers = [NUMBER.fullmatch(cell) is not None for cell in cells]
    if all(numbers):
        counting = len(cells) > 1 and counts_up(cells)
        return False, f"{place}: {shown!r} may be column numbers or a sample; {CHOICE}" if counting else ""
    if not any(numbers):
        if any(MISSING.fullmatch(cell) for cell in cells) or not any(WORD.match(cell) for cell in cells):
            raise InputError(f"{place}: {shown!r} is neither names of columns nor numbers; {CHOICE}")
        for k, cell in enumerate(cells):
            if len(cells) > 1 and cell.strip().lower() in CLASSES:
                raise InputError(
                    f"{place}: column {k + 1} is named {cell.strip()!r}, and every column is read as an input; expected inputs alone, and "
                    "labels in a file of their own; --header yes (in Python header=True) if it is an input all the same"
                )
        return True, ""
    return False, ""


def counts_up(cells: list[str]) -> bool:
    """Whether they are 0, 1, 2, ...: how data frames without names call their columns."""
    return all(cell.strip() == str(k) for k, cell in enumerate(cells))


def parse_row(cells: list[str], place: str, first: bool = False) -> np.ndarray:
    """int64 if all cells are integers, else float64."""
    if INTEGERS.fullmatch(",".join(cells)):
        try:
            return np.array([int(cell) for cell in cells], np.int64)
        except (ValueError, OverflowError):
            pass
    for j, cell in enumerate(cells):
        if not NUMBER.fullmatch(cell):
            hint = "; --header yes if this line is a header" if first else ""
            raise InputError(f"{place}: value {j + 1} is {cell[:SHOWN]!r}, expected an integer{hint}")
    return np.array([float(cell) for cell in cells])
