"""Check many more random tiny queries than the test suite does: python tests/enumerate_many.py --count 20000 --jobs 2

With --certify each verdict of each engine is also written as a certificate, which must be accepted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from functools import partial

from certified import check_engines
from tiny import check_query, random_query

from qbitsat.verify import VIOLATED


def check_seed(seed: int, certify: bool) -> bool:
    try:
        query = random_query(random.Random(seed))
        violated = check_query(query, seed)
        for checked in check_engines(query, seed) if certify else ():
            assert checked.accepted, checked.reason
            assert (checked.verdict == VIOLATED) == violated
        return violated
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error!r}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--certify", action="store_true", help="check a certificate of each verdict, too")
    arguments = parser.parse_args()
    start = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    with multiprocessing.Pool(arguments.jobs) as pool:
        violated = sum(pool.imap_unordered(partial(check_seed, certify=arguments.certify), seeds, chunksize=50))
    print(f"{len(seeds)} queries agree with enumeration, {violated} of them violated, in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
