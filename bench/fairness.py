"""Fairness of networks that others trained: do protected features change the class, and how far do they move the result?

    python -m bench.fairness [GC-1 AC-3 BM-2] [--timeout 60]

Three networks of Fairify (Biswas and Rajan, ICSE 2023; German credit, Adult, bank marketing) in 8 bits: inputs, weights with
fractional bits for each neuron, and activations; the result, the logit before the sigmoid, has 12. A feature of more than 256 values is
rounded down to steps of several, an input is its distance from 0 or from the smallest value below, and the first layer takes that up.
Domains are those of Fairify's own questions. Both copies are the same but for the protected feature.

    class   exists x, x' with f(x) > 0 and f(x') <= 0       by `verify`
    gap     the largest f(x) - f(x')                        by `maximize`
    part    the gap where features from the last one on are fixed until at most 2**POINTS pairs are left, by the search alone and by
            enumeration

What comes out is printed, and written to bench/results/fairness.json, a question at a time: one that is there is asked again only if it
is open and the limit is longer now. How often network and float model are of one class is measured on random people of the domain.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import qbitsat
from bench.suite import DATA
from qbitsat.importers.files import replacing
from qbitsat.network import Network, forward
from qbitsat.network.float_network import FloatDense, FloatNetwork
from qbitsat.properties import And, AtMost, Box, Gap, at_least, gap

RESULTS = Path(__file__).parent / "results" / "fairness.json"
FORMAT = "power-of-two:8,per-channel,output=12,input=u8.0"
PEOPLE, POINTS, ENGINES = 4000, 20, ("hybrid", "enumerate")


class Case(NamedTuple):
    """The features in order with their smallest and largest values, those that are protected, and steps of those with many values."""

    features: dict[str, tuple[int, int]]
    protected: tuple[str, ...]
    units: dict[str, int]


CASES = {
    "GC-1": Case(
        {
            "status": (0, 2), "month": (0, 80), "credit history": (0, 2), "purpose": (0, 9), "credit amount": (0, 20000), "savings": (0, 2),
            "employment": (0, 2), "investment": (1, 4), "other debtors": (0, 2), "residence since": (1, 4), "property": (0, 2),
            "age": (0, 1), "installment plans": (0, 2), "housing": (0, 2), "credits": (1, 4), "skill": (0, 3), "liable for": (1, 2),
            "telephone": (0, 1), "foreign worker": (0, 1), "sex": (0, 1),
        },
        ("age", "sex"),
        {"credit amount": 100},
    ),
    "AC-3": Case(
        {
            "age": (10, 100), "workclass": (0, 6), "education": (0, 15), "education number": (1, 16), "marital status": (0, 6),
            "occupation": (0, 13), "relationship": (0, 5), "race": (0, 4), "sex": (0, 1), "capital gain": (0, 19),
            "capital loss": (0, 19), "hours per week": (1, 100), "native country": (0, 40),
        },
        ("sex", "race"),
        {},
    ),
    "BM-2": Case(
        {
            "age": (0, 1), "job": (0, 10), "marital": (0, 2), "education": (0, 6), "default": (0, 1), "housing": (0, 1), "loan": (0, 1),
            "contact": (0, 1), "month": (0, 11), "day of week": (0, 6), "duration": (0, 5000), "employment variation": (-3, 1),
            "campaign": (1, 50), "days passed": (0, 999), "previous": (0, 7), "outcome": (0, 2),
        },
        ("age",),
        {"duration": 20, "days passed": 4},
    ),
}  # fmt: skip


class Made(NamedTuple):
    """A case's network, its domain in steps, and how often it gives the float model's class to random people."""

    network: Network
    domain: Box
    agreement: float


def made(name: str) -> Made:
    """The logit of the network in 8 bits."""
    case = CASES[name]
    model, ends = qbitsat.load_float(DATA / "keras" / f"{name}.h5"), np.array(list(case.features.values()))
    unit = np.array([case.units.get(feature, 1) for feature in case.features])
    offset = np.minimum(ends[:, 0], 0)
    lo, hi = ((end - offset) // unit for end in ends.T)
    logit = in_steps(model, unit, offset)
    people = np.random.default_rng(0).integers(lo, hi + 1, (PEOPLE, len(lo)))
    network = qbitsat.quantize(logit, FORMAT, people.astype(np.float64), method="range")
    floats = logit.run(people.astype(np.float64))[0].reshape(PEOPLE)
    return Made(network, Box(lo, hi), float(((forward(network, people)[:, 0] > 0) == (floats > 0)).mean()))


def in_steps(model: FloatNetwork, unit: np.ndarray, offset: np.ndarray) -> FloatNetwork:
    """The same on steps of a unit from an offset, without its last layer, the sigmoid."""
    first, *rest = model.layers
    assert isinstance(first, FloatDense)
    taken = replace(first, weights=first.weights * unit, bias=first.bias + first.weights @ offset)
    return replace(model, layers=(taken, *rest[:-1]), outputs=(len(rest) - 1,))


def pairs(asked: Gap) -> float:
    """How many pairs of people there are, as a power of two."""
    box = asked.query.boxes[0]
    return float(np.log2(box.hi - box.lo + 1).sum())


def part(domain: Box, protected: int) -> Box:
    """The domain with features from the last one on fixed in the middle, until at most 2**POINTS pairs are left."""
    lo, hi = domain.lo.copy(), domain.hi.copy()
    for i in reversed(range(len(lo))):
        if np.log2(hi - lo + 1).sum() + np.log2(hi[protected] - lo[protected] + 1) <= POINTS:
            break
        if i != protected:
            lo[i] = hi[i] = (lo[i] + hi[i]) // 2
    return Box(lo, hi)


def asked_class(asked: Gap, timeout: float) -> dict[str, Any]:
    """Whether the class changes."""
    (_, first), (_, second) = asked.objective
    query = replace(asked.query, violation=And((at_least(((1, first),), 1), AtMost(((1, second),), 0))))
    found = qbitsat.verify(query, timeout=timeout)
    pair = None if found.witness is None else asked.inputs(found.witness.inputs)
    return {"verdict": found.verdict, "reason": found.reason, "engine": found.engine, "pair": pair, **times(found)}


def asked_gap(asked: Gap, timeout: float, engine: str) -> dict[str, Any]:
    """The gap, in steps of the result."""
    found = qbitsat.maximize(asked.query, asked.objective, timeout=timeout, engine=engine)
    pair = None if found.witness is None else asked.inputs(found.witness.inputs)
    ends = {"value": found.value, "upper": found.upper, "pair": pair}
    return {"verdict": found.verdict, "reason": found.reason, **ends, **times(found)}


def times(found: Any) -> dict[str, float]:
    return {"seconds": round(found.seconds, 2), "cpu": round(found.cpu_seconds, 2)}


def questions(name: str, one: Made, timeout: float) -> Iterator[tuple[str, Any]]:
    """What is asked, by its name in the results: a function without arguments that gives the answer."""
    features = list(CASES[name].features)
    for feature in CASES[name].protected:
        i = features.index(feature)
        whole, some = (gap(one.network, [i], box=box) for box in (one.domain, part(one.domain, i)))
        about = {"network": name, "protected": feature, "step": one.network.output.scale, "agreement": one.agreement}
        everything = {**about, "bits": round(pairs(whole), 1)}
        few = {**about, "bits": round(pairs(some), 1)}
        yield f"{name} {feature} class", lambda whole=whole, head=everything: head | asked_class(whole, timeout)
        yield f"{name} {feature} gap", lambda whole=whole, head=everything: head | asked_gap(whole, timeout, "auto")
        for engine in ENGINES:
            yield f"{name} {feature} part {engine}", lambda some=some, head=few, e=engine: head | asked_gap(some, timeout, e)


def line(key: str, entry: dict[str, Any]) -> str:
    """A row: the answer, and what it took."""
    what = entry["verdict"]
    if "value" in entry:
        ends = [None if end is None else f"{end * entry['step']:.4g}" for end in (entry["value"], entry["upper"])]
        what += f" {ends[0]}" if ends[0] == ends[1] else f" {ends[0]} to {ends[1]}"
    return f"{key:<28} 2^{entry['bits']:<6} {what:<32} {entry['cpu']:>7.1f} CPU s {entry['seconds']:>7.1f} s"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="for each question")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FILE")
    args = parser.parse_args(given)
    if unknown := set(args.networks) - set(CASES):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(CASES)}")
    content = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    for name in args.networks or CASES:
        one = made(name)
        for key, ask in questions(name, one, args.timeout):
            known = content.get(key)
            if known is None or (known["verdict"] == "UNKNOWN" and known["timeout"] < args.timeout):
                load = round(os.getloadavg()[0], 1)
                content[key] = {**ask(), "timeout": args.timeout, "load": load}
                with replacing(args.out, sync=False) as stream:
                    stream.write(json.dumps(content, indent=1).encode() + b"\n")
            print(line(key, content[key]), flush=True)
        for feature in CASES[name].protected:
            parts = [content[f"{name} {feature} part {engine}"] for engine in ENGINES]
            if len({entry["value"] for entry in parts if entry["verdict"] == "OPTIMAL"}) > 1:
                raise RuntimeError(f"{name}, {feature}: engines disagree: {parts}")


if __name__ == "__main__":
    main()
