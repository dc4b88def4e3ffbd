"""Check many more random tiny queries than the test suite does: python tests/enumerate_many.py --count 20000 --jobs 2

`--kind any` holds every engine against enumeration, `--kind raw` too, on networks with raw integer outputs, and `--kind search` the search
alone, on larger queries made to keep it busy; `--kind inner` asks about inner values and accumulators, `--kind maximize` for largest values
and what limits leave of them, and `--kind question` questions as TOML files. Questions with a name have kinds of their own (`named`), and
`--kind linked` has copies on inputs of their own that inequalities tie. With --certify (of kinds any, raw and maximize) each verdict of
each engine is also written as a certificate, which must be accepted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from functools import partial
from pathlib import Path

import folders  # noqa: F401 (where the modules below are)
from certified import check_engines
from inner import check_inner
from maximized import check_maximum
from named import CHECKS
from questions import check_question
from raw import RAW_SECONDS, raw_query
from tiny import busy_query, check_query, check_search, random_query

from qbitsat.optimize import EMPTY
from qbitsat.verify import VIOLATED

# Some queries keep the search busy for minutes; enough others are left.
SECONDS = 5


def check_seed(kind: str, certify: bool, seed: int) -> bool | None:
    rng = random.Random(seed)
    try:
        if kind == "search":
            return check_search(busy_query(rng), seed, SECONDS)
        if kind == "inner":
            return check_inner(seed)
        if kind == "question":
            with tempfile.TemporaryDirectory() as folder:
                return check_question(seed, Path(folder), seed=seed) in (VIOLATED, EMPTY)
        if kind in CHECKS:
            return CHECKS[kind](seed)
        if kind == "maximize":
            return check_maximum(seed, certify) == EMPTY
        query = raw_query(rng) if kind == "raw" else random_query(rng)
        violated = check_query(query, seed, RAW_SECONDS if kind == "raw" else None)
        for checked in check_engines(query, seed) if certify else ():
            assert checked.accepted, checked.reason
            assert (checked.verdict == VIOLATED) == violated
        return violated
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("any", "raw", "search", "inner", "maximize", "question", *CHECKS), default="any")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--certify", action="store_true", help="check a certificate of each verdict, too")
    arguments = parser.parse_args()
    start = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    with multiprocessing.Pool(arguments.jobs) as pool:
        truths = list(pool.imap_unordered(partial(check_seed, arguments.kind, arguments.certify), seeds, chunksize=50))
    agreed = f"{len(seeds) - truths.count(None)} queries agree with enumeration, {truths.count(True)} of them violated or empty"
    print(f"{agreed}, {truths.count(None)} without an answer in {SECONDS} s or without a question, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
