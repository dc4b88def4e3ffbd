"""Ten thousand mutated .tflite files: each is read, or refused in one line; none crashes, hangs or fills the memory.

python -m bench.fuzz_tflite [--count N] [--seed N]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.suite import DATA
from qbitsat.errors import QbitsatError
from qbitsat.importers import load
from tests.files.mutate_tflite import mutants

FILES = ("hello_world_int8", "mnist_arduino_q", "mnist_dw_q", "mnist_valid_q", "mnist_resnet_q", "magic_wand", "micro_speech_quantized")
# Bytes of address space, and seconds for one file, above which it is a finding.
MOST_BYTES, MOST_SECONDS = 3 << 30, 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    outcomes: Counter[str] = Counter()
    longest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.tflite"
        for name in FILES:
            for data in mutants(DATA / "tflite" / f"{name}.tflite", -(-args.count // len(FILES)), args.seed):
                path.write_bytes(data)
                start = time.perf_counter()
                outcomes[outcome(path)] += 1
                longest = max(longest, time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{outcomes.total()} files: {dict(outcomes)}; longest {longest:.2f} s, {memory:.0f} MiB")
    if longest > MOST_SECONDS:
        sys.exit(f"a file took {longest:.2f} s, expected at most {MOST_SECONDS}")


def outcome(path: Path) -> str:
    """ "read", or the kind of the error; whatever is no error of ours is raised."""
    try:
        load(path)
        return "read"
    except QbitsatError as error:
        if "\n" in str(error) or not str(error).startswith(str(path)):
            raise AssertionError(f"a message without its file, or of many lines: {error}") from error
        return type(error).__name__


if __name__ == "__main__":
    main()
