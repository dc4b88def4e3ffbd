"""Check many more random tiny queries than the test suite does: python tests/enumerate_many.py --count 20000 --jobs 2

`--kind any` holds every engine against enumeration, `--kind search` the search alone, on larger queries made to keep it busy.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from functools import partial

from tiny import busy_query, check_query, check_search, random_query

# Some queries keep the search busy for minutes; enough others are left.
SECONDS = 5


def check_seed(kind: str, seed: int) -> bool | None:
    rng = random.Random(seed)
    try:
        return check_query(random_query(rng), seed) if kind == "any" else check_search(busy_query(rng), seed, SECONDS)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kind", choices=("any", "search"), default="any")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    with multiprocessing.Pool(arguments.jobs) as pool:
        truths = list(pool.imap_unordered(partial(check_seed, arguments.kind), seeds, chunksize=50))
    agreed = f"{len(seeds) - truths.count(None)} queries agree with enumeration, {truths.count(True)} of them violated"
    print(f"{agreed}, {truths.count(None)} without an answer in {SECONDS} s, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
