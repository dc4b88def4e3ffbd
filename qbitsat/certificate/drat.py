"""Proofs of unsatisfiability in binary DRUP, given to checkers that nobody here wrote.

Every added clause must follow by unit propagation (RUP) from those before it. Then it follows from the CNF, whatever is deleted. That
is not so of RAT, for which checkers must forget what followed from deleted clauses, and do not: no step may be RAT.

A step is 'a' (add) or 'd' (delete), its literals, and a zero byte. A literal is 2 * variable + (1 if negative) in groups of seven
bits, lowest first, with the top bit of a byte set where more follow.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from itertools import chain, count

from ..errors import InputError, MissingExtraError
from ..importers.files import Path
from ..limits import Tick
from .reading import Refused

ADD, DELETE = 0x61, 0x64
MAX_STEP = 1 << 24
# Steps between questions whether limits hold.
TICK = 64
# Larger proofs, in bytes, are worth the start of a process in which dratify's faster engine runs.
LARGE = 1 << 14


def steps(data: bytes, num_vars: int) -> Iterator[tuple[bool, list[int]]]:
    """(whether to add, literals as DIMACS writes them) of every step; a variable that the CNF does not have is refused."""
    start = 0
    for number in count():
        if start == len(data):
            return
        end = data.find(b"\0", start)
        if end < 0:
            raise Refused("the DRAT proof is cut off inside a step")
        if end - start > MAX_STEP:
            raise Refused(f"step {number} of the DRAT proof takes {end - start} bytes, expected at most {MAX_STEP}")
        body, start = data[start:end], end + 1
        if not body or body[0] not in (ADD, DELETE) or (len(body) > 1 and body[-1] >= 0x80):
            raise Refused(f"the DRAT proof has no step where step {number} should be")
        lits, lit, shift = [], 0, 0
        for byte in body[1:]:
            lit |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if not 1 <= lit >> 1 <= num_vars:
                    raise Refused(f"step {number} of the DRAT proof names variable {lit >> 1}, expected 1 to {num_vars}")
                lits.append(-(lit >> 1) if lit & 1 else lit >> 1)
                lit = shift = 0
            elif shift > 28:
                raise Refused(f"step {number} of the DRAT proof has a literal of more than 32 bits")
        yield body[0] == ADD, lits


def clauses_of(data: list[int]) -> Iterator[list[int]]:
    """The clauses of zero-terminated entries."""
    clause: list[int] = []
    for entry in data:
        if entry:
            clause.append(entry)
        else:
            yield clause
            clause = []


def check_drat(num_vars: int, data: list[int], proof: bytes, drat_trim: Path | None, cake_lpr: Path | None, tick: Tick) -> None:
    """Raise `Refused` unless drat-trim (if its path is given, with cake_lpr behind it) or else dratify accepts the proof."""
    if any(not clause for clause in clauses_of(data)):
        return  # an empty clause needs no proof
    if drat_trim is None and (len(proof) < LARGE or find_spec("cdclkit_native") is None):
        _by_dratify(num_vars, data, proof, tick)
    else:
        _by_programs(num_vars, data, proof, drat_trim, cake_lpr, tick)


def _by_dratify(num_vars: int, data: list[int], proof: bytes, tick: Tick) -> None:
    try:
        import dratify
    except ImportError:
        raise MissingExtraError("dratify", "proof", "checking a DRAT proof without drat-trim") from None
    formula = dratify.CNF(num_vars)
    for clause in clauses_of(data):
        formula.add([dratify.from_dimacs(lit) for lit in clause])

    def translated() -> Iterator[tuple[str, tuple[int, ...]]]:
        for number, (add, lits) in enumerate(steps(proof, num_vars)):
            if number % TICK == 0:
                tick()
            yield "a" if add else "d", tuple(dratify.from_dimacs(lit) for lit in lits)

    result = dratify.DRATChecker(formula, check_rat=False).check(translated())
    if not (result.ok and result.reached_empty):
        raise Refused(f"dratify does not accept the DRAT proof: {result.reason}")


def _by_programs(num_vars: int, data: list[int], proof: bytes, drat_trim: Path | None, cake_lpr: Path | None, tick: Tick) -> None:
    """The same by drat-trim, and perhaps cake_lpr; or by dratify's engine in Rust, in a process that can be stopped."""
    with tempfile.TemporaryDirectory(prefix="qbitsat-") as folder:
        cnf, drat, lrat = (os.path.join(folder, name) for name in ("cnf", "drat", "lrat"))
        clauses = list(clauses_of(data))
        _write(cnf, chain([f"p cnf {num_vars} {len(clauses)}"], (_line("", clause) for clause in clauses)))
        # As text: drat-trim guesses from the first bytes whether a proof is binary.
        _write(drat, (_line("" if add else "d ", lits) for add, lits in steps(proof, num_vars)))
        tick()
        if drat_trim is None:
            # In our own folder: Python looks for modules where it is started.
            _run([sys.executable, "-m", "cdclkit", "check", "--no-rat", cnf, drat], "s VERIFIED", tick, folder)
            return
        # The time limit is ours; its own is 20000 s.
        _run([drat_trim, cnf, drat, "-t", "1000000", *(["-L", lrat] if cake_lpr else [])], "s VERIFIED", tick)
        if cake_lpr:
            _run([cake_lpr, cnf, lrat], "s VERIFIED UNSAT", tick)


def _line(head: str, lits: Iterable[int]) -> str:
    return f"{head}{' '.join(map(str, (*lits, 0)))}"


def _write(path: str, lines: Iterable[str]) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.writelines(f"{line}\n" for line in lines)


def _run(command: list[Path], wanted: str, tick: Tick, folder: Path | None = None) -> None:
    """Run a checker in a folder until it ends or `tick` raises; `Refused` unless a line of its output is the wanted one."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL)
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
    if wanted not in lines:
        said = next((line for line in reversed(lines) if line.strip()), f"exit code {process.returncode}")
        raise Refused(f"{os.path.basename(command[0]) if folder is None else 'dratify'} does not accept the DRAT proof: {said}")
