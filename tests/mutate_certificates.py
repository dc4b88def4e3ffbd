"""Mutate good certificates at random and check them: python tests/mutate_certificates.py --count 10000

Nothing may escape the checker but a refusal or an error of ours. A mutated certificate may be accepted only if it still proves its
query; that is decided without the checker: the query as it now stands in the file is small, so all of its inputs are tried.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import lzma
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import folders  # noqa: F401 (where the modules below are)
import forge_proofs
import numpy as np
from forge import RECIPES, Parts, good, outcome
from tiny import points_of

from qbitsat.certificate.check import Checked
from qbitsat.network import forward
from qbitsat.properties import Query
from qbitsat.properties.formula import is_true
from qbitsat.verify import HOLDS

# Queries of more inputs than this are not made by a mutation: boxes stay inside the formats of `tiny` and `deep`.
MAX_POINTS = 1 << 17
NUMBERS = (-1, 0, 1, 2, 3, 5, 7, 63, 255, 1 << 31, 1 << 62, (1 << 63) - 1, -(1 << 63))


def is_violated(query: Query) -> bool | None:
    """Whether some input makes the violation true, by trying all; None if there are too many."""
    count = 1
    for box in query.boxes:
        for lo, hi in zip(box.lo.tolist(), box.hi.tolist(), strict=True):
            count *= hi - lo + 1
    if count > MAX_POINTS:
        return None
    tables = [
        list(zip(p.tolist(), forward(n, p).tolist(), strict=True))
        for n, p in ((n, points_of(b)) for n, b in zip(query.networks, query.boxes, strict=True))
    ]
    return any(is_true(query.violation, *zip(*combination, strict=True)) for combination in itertools.product(*tables))


# --- mutations: each changes parts in place ---


def change_entry(parts: Parts, rng: random.Random) -> None:
    """One entry of one array, by a little or altogether."""
    name = rng.choice([n for n, a in parts.arrays.items() if a.size])
    array = parts.arrays[name]
    i = rng.randrange(array.size)
    old = int(array.flat[i])
    new = rng.choice([old + 1, old - 1, -old, 2 * old, old ^ (1 << rng.randrange(8)), rng.choice(NUMBERS)])
    info = np.iinfo(array.dtype)
    if not info.min <= new <= info.max:
        if array.dtype == np.uint8:
            new %= 256
        else:
            array = parts.arrays[name] = array.astype(np.int64)
            new = min(max(new, -(1 << 63)), (1 << 63) - 1)
    array.flat[i] = new


def change_proof(parts: Parts, rng: random.Random) -> None:
    """A proof by SAT unpacked, changed in one number or in its steps, and packed again."""
    names = [name for name in parts.arrays if name.startswith("lrat")]
    if not names:
        return change_entry(parts, rng)
    name = rng.choice(names)
    try:
        data = np.frombuffer(lzma.decompress(parts.arrays[name].astype(np.uint8).tobytes()), "<i4").astype(np.int64)
    except (lzma.LZMAError, ValueError):
        return  # changed before
    if not len(data):
        return
    count = int(data[0])
    if rng.random() < 0.5 or not 0 < count <= (len(data) - 1) // 2:
        i = rng.randrange(len(data))
        data[i] = rng.choice([data[i] + 1, data[i] - 1, -data[i], rng.randrange(-2, 1000), (1 << 31) - 1])
        new = lzma.compress(np.clip(data, -(1 << 31), (1 << 31) - 1).astype("<i4").tobytes())
    else:
        sizes, rest = data[1 : 1 + 2 * count].reshape(2, count), data[1 + 2 * count :]
        literals, hints = np.split(rest, [max(0, int(sizes[0].sum()))])
        if sizes[0].min() < 0 or sizes[1].min() < 1 or int(sizes.sum()) != len(rest):
            return
        steps = forge_proofs.mutated(rng, forge_proofs.steps_of(sizes.T, literals, hints), 50, max(1, int(hints.max(initial=1)) - count))
        new = forge_proofs.packed(steps)
    parts.arrays[name] = np.frombuffer(new, np.uint8).copy()


def cut_array(parts: Parts, rng: random.Random) -> None:
    """Entries or rows dropped, repeated or exchanged."""
    name = rng.choice([n for n, a in parts.arrays.items() if len(a)])
    array = parts.arrays[name]
    i, j = rng.randrange(len(array)), rng.randrange(len(array))
    order = list(range(len(array)))
    kind = rng.randrange(4)
    if kind == 0:
        del order[i]
    elif kind == 1:
        order.insert(i, j)
    elif kind == 2:
        order[i], order[j] = order[j], order[i]
    else:
        order = order[:i]
    parts.arrays[name] = array[order]


def exchange_arrays(parts: Parts, rng: random.Random) -> None:
    """Two arrays under each other's name, or one gone."""
    a, b = (rng.choice(list(parts.arrays)) for _ in range(2))
    if a == b:
        del parts.arrays[a]
    else:
        parts.arrays[a], parts.arrays[b] = parts.arrays[b], parts.arrays[a]


def places(value, path=()):
    """Paths of everything inside a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def change_header(parts: Parts, rng: random.Random) -> None:
    """One value in the header, replaced, dropped or taken from elsewhere in it."""
    everywhere = [path for path in places(parts.header) if path]
    *path, key = rng.choice(everywhere)
    target = parts.header
    for step in path:
        target = target[step]
    old = target[key]
    if rng.random() < 0.15:
        del target[key]
    elif type(old) is int and rng.random() < 0.7:
        target[key] = rng.choice([old + 1, old - 1, -old, rng.choice(NUMBERS)])
    elif type(old) is bool:
        target[key] = not old
    else:
        other = parts.header
        for step in rng.choice(everywhere):
            other = other[step]
        target[key] = rng.choice(
            [copy.deepcopy(other), None, "", "x", 1.5, [], {}, "HOLDS", "VIOLATED", "tree", "sat", "witness", "general"]
        )


def exchange_proof(parts: Parts, rng: random.Random, others: list[Parts]) -> None:
    """Another certificate's query, proof or options with this one's rest."""
    other = rng.choice(others).copy()
    key = rng.choice(["query", "proof", "options", "networks", "verdict"])
    parts.header[key] = other.header[key]
    if key in ("query", "proof"):
        mine = {"x"} | {n for n in parts.arrays if n.startswith("box")}
        kept = {n: a for n, a in parts.arrays.items() if (n in mine) == (key == "proof")}
        taken = {n: a for n, a in other.arrays.items() if (n == "x" or n.startswith("box")) == (key == "query")}
        parts.arrays = {**kept, **taken}


def flip_bytes(data: bytes, rng: random.Random) -> bytes:
    """The file itself: bytes changed, dropped or added."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(content))
        kind = rng.randrange(4)
        if kind == 0:
            del content[i : i + rng.randint(1, 20)]
        elif kind == 1:
            content[i:i] = rng.randbytes(rng.randint(1, 20))
        else:
            content[i] ^= 1 << rng.randrange(8)
    return bytes(content) or b"\0"


def mutate(sources: list[Parts], data: list[bytes], path: Path, rng: random.Random) -> str:
    """Write one mutated certificate; the kind of mutation."""
    if rng.random() < 0.1:
        path.write_bytes(flip_bytes(rng.choice(data), rng))
        return "bytes"
    parts = rng.choice(sources).copy()
    kinds = [change_entry, change_entry, change_proof, cut_array, exchange_arrays, change_header, change_header]
    names = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if rng.random() < 0.12:
            exchange_proof(parts, rng, sources)
            names.append("exchange_proof")
        elif parts.header and any(array.size for array in parts.arrays.values()):
            kind = rng.choice(kinds)
            kind(parts, rng)
            names.append(kind.__name__)
    parts.save(path)
    return names[0] if names else "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start, rng = time.monotonic(), random.Random(arguments.seed)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        paths = [good(kind, Path(folder) / f"{kind}{k}", 60 * k) for kind in RECIPES for k in range(2)]
        sources, data = [Parts(path) for path in paths], [path.read_bytes() for path in paths]
        target, slowest = Path(folder) / "mutated.cert", 0.0
        for number in range(arguments.count):
            kind = mutate(sources, data, target, rng)
            before = time.monotonic()
            said = outcome(target)
            slowest = max(slowest, time.monotonic() - before)
            if not isinstance(said, Checked):
                counts["unreadable"] += 1
            elif not said.accepted:
                counts["refused"] += 1
            else:
                truth = is_violated(said.query)
                counts["accepted, and true of all inputs" if truth is not None else "accepted, not decided"] += 1
                counts[f"  accepted after {kind}"] += 1
                if truth is not None and truth == (said.verdict == HOLDS):
                    raise AssertionError(f"mutation {number} is accepted, but {said.verdict} is wrong: {json.dumps(said.header)[:500]}")
    print(f"{arguments.count} mutations of {len(paths)} certificates in {time.monotonic() - start:.0f} s, the slowest in {slowest:.2f} s")
    for text, count in sorted(counts.items(), key=lambda item: (item[0].startswith(" "), -item[1])):
        print(f"{count:7} {text}")


if __name__ == "__main__":
    main()
