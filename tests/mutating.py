"""What the commands share that mutate files at random and load them: nothing may escape but a network, or an error of ours in one line."""

from __future__ import annotations

import argparse
import resource
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from mutate_tflite import mutants

from qbitsat.errors import QbitsatError

# Seconds of CPU that a file may take, and MiB that all of them may.
SECONDS, MEMORY = 10, 2048


def main(
    doc: str | None,
    files: Mapping[str, bytes],
    load: Callable[[Path, str], object],
    changed: Callable[[str, bytes, np.random.Generator], bytes],
) -> None:
    """Load mutants of good files, by name: every second one with other bytes, the others as `changed` makes them of suffix and content."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found: Counter[str] = Counter()
    signal.signal(signal.SIGPROF, stop)
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, data) in enumerate(files.items()):
            seed, kind = args.seed + k, name.rsplit(".", 1)[1]
            good, path = Path(folder, f"good.{kind}"), Path(folder, f"mutant.{kind}")
            good.write_bytes(data)
            load(good, name)
            rng = np.random.default_rng(seed)
            for i, mutant in enumerate(mutants(good, -(-args.count // len(files)), seed)):
                if i % 2:
                    with suppress(ValueError, TypeError, OverflowError, KeyError):
                        mutant = changed(kind, data, rng)
                path.write_bytes(mutant)
                found[f"{kind} {outcome(lambda path=path, name=name: load(path, name), f'{name}: mutant {i} of seed {seed}')}"] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{dict(sorted(found.items()))}, {peak} MiB")
    if peak > MEMORY:
        raise SystemExit(f"more than {MEMORY} MiB")


def outcome(load: Callable[[], object], place: str) -> str:
    """ "loaded", or the kind of the error."""
    kind = "loaded"
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        load()
    except QbitsatError as error:
        if "\n" in str(error):
            raise SystemExit(f"{place}: more than a line: {error}") from error
        kind = type(error).__name__
    except BaseException:
        print(place)
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return kind


class TakesTooLong(BaseException):
    """No error that anyone catches."""


def stop(*_: object) -> None:
    raise TakesTooLong(f"more than {SECONDS} s of CPU")
