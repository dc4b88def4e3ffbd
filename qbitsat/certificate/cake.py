"""cake_lpr, a checker of LRAT proofs that is itself proved correct down to machine code, may have the last word."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import InputError
from ..importers.files import Path
from ..limits import Tick
from .lrat import Proof
from .reading import Refused

WANTED = "s VERIFIED UNSAT"


def check_by_cake_lpr(num_vars: int, clauses: Sequence[int], packed: bytes, program: Path, tick: Tick) -> None:
    """Raise `Refused` unless the program accepts the CNF and the proof (see `lrat.check_lrat`); as text, clauses have numbers from 1."""
    with tempfile.TemporaryDirectory(prefix="qbitsat-") as folder:
        cnf, lrat = (os.path.join(folder, name) for name in ("cnf", "lrat"))
        parts = np.split(np.array(clauses, np.int64), np.flatnonzero(np.array(clauses, np.int64) == 0) + 1)[:-1]
        _write(cnf, [f"p cnf {num_vars} {len(parts)}"], (" ".join(map(str, part)) for part in parts))
        steps = Proof(packed, num_vars, tick).steps()
        _write(lrat, (_line(len(parts) + 1 + step, literals, hints) for step, (literals, hints) in enumerate(steps)))
        _run([program, cnf, lrat], tick)


def _line(number: int, literals: list[int], hints: list[int]) -> str:
    return " ".join(map(str, (number, *literals, 0, *(hint + 1 for hint in hints), 0)))


def _write(path: str, *parts: Iterable[str]) -> None:
    with open(path, "w", encoding="ascii") as stream:
        for lines in parts:
            stream.writelines(f"{line}\n" for line in lines)


def _run(command: list[Path], tick: Tick) -> None:
    """Run the checker until it ends or `tick` raises; `Refused` unless it says what is wanted."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise InputError(f"{command[0]}: can't be run: {error.strerror}") from error
        try:
            while True:
                try:
                    process.wait(0.05)
                    break
                except subprocess.TimeoutExpired:
                    tick(process.pid)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if WANTED not in lines:
        said = next((line for line in reversed(lines) if line.strip()), f"exit code {process.returncode}")
        raise Refused(f"{os.path.basename(command[0])} does not accept the LRAT proof: {said}")
