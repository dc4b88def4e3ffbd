"""Check many more random tiny queries than the test suite does: python tests/enumerate_many.py --count 20000 --jobs 2"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time

from tiny import check_query, random_query


def check_seed(seed: int) -> bool:
    try:
        return check_query(random_query(random.Random(seed)), seed)
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    with multiprocessing.Pool(arguments.jobs) as pool:
        violated = sum(pool.imap_unordered(check_seed, seeds, chunksize=50))
    print(f"{len(seeds)} queries agree with enumeration, {violated} of them violated, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
