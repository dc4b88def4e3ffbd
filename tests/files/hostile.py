"""Small files that cost a checker much: certificates, and the networks that they are about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.certificate.archive import write_npz
from qbitsat.certificate.reading import FORMAT, VERSION
from qbitsat.importers import save
from qbitsat.network import Dense, Network, TensorFormat

INFEASIBLE = {"kinds": np.array([3], np.uint8)}
TREE, SAT = {"kind": "tree", "cnf_sha256": []}, {"kind": "sat", "cnf_sha256": "0" * 64}


def layer(n_in: int, n_out: int, *requantizers: ShiftRequantizer, seed: int = 0) -> Dense:
    rng = np.random.default_rng(seed)
    requantizers = requantizers or (ShiftRequantizer(8, "half_up", 0, 255),)
    output = TensorFormat((n_out,), min(r.lo for r in requantizers), max(r.hi for r in requantizers))
    return Dense("d", TensorFormat((n_in,), 0, 255), output, requantizers, rng.integers(-8, 8, (n_out, n_in)), rng.integers(-99, 99, n_out))


def network(folder: Path, name: str, *layers: Dense) -> tuple[Network, Path]:
    made, path = Network(layers, name), folder / f"{name}.npz"
    save(made, path)
    return made, path


def below(element: int, bound: int = 0) -> dict[str, Any]:
    return {"at_most": [[1, 0, "output", element]], "bound": bound}


def ranked(count: int, outputs: int) -> list[dict[str, Any]]:
    """y_i <= y_j of many pairs."""
    pairs = [(k % outputs, (7 * k + 1) % outputs) for k in range(count)]
    return [{"at_most": [[1, 0, "output", i], [-1, 0, "output", j]], "bound": 0} for i, j in pairs]


def certificate(
    folder: Path, name: str, networks: Sequence[tuple[Network, Path]], violation: dict, proof: dict, arrays: dict, bounds: bool = True
) -> Path:
    members, path = dict(arrays), folder / f"{name}.cert"
    for k, (each, _) in enumerate(networks):
        members[f"box.{k}.lo"] = np.full(each.input.size, each.input.lo, np.int16)
        members[f"box.{k}.hi"] = np.full(each.input.size, each.input.hi, np.int16)
    header = {
        "format": FORMAT, "version": VERSION, "qbitsat": "0", "engine": "x", "proof": proof,
        "networks": [{"sha256": each.sha256, "path": str(at)} for each, at in networks],
        "query": {"kind": "general", "violation": violation}, "verdict": "VIOLATED" if proof["kind"] == "witness" else "HOLDS",
        "options": {"bounds": bounds, "encoding": "balanced"},
    }  # fmt: skip
    with open(path, "wb") as stream:
        write_npz(stream, {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **members})
    return path


def facts(count: int, neurons: int, row: int, dtype: type) -> dict[str, np.ndarray]:
    columns = {"neuron": 0, "side": 1, "bound": 1 << 62, "scale": 1}
    numbers = {f"fact_{name}": np.full(count, value, np.int64) for name, value in columns.items()}
    rows = {
        "starts": neurons * np.arange(count + 1),
        "neurons": np.tile(np.arange(neurons), count),
        "values": np.full(count * neurons, row, dtype),
    }
    return {**INFEASIBLE, **numbers, **{f"fact_rows.{part}": array for part, array in rows.items()}}


def write_all(folder: Path) -> None:
    """A certificate for each place where time or memory could go."""
    channels = [ShiftRequantizer(4, "half_up", 0, 4000 + k % 95) for k in range(3000)]
    n = network(folder, "channels", layer(4, 3000, *channels))
    certificate(folder, "step_tables", [n], {"and": ranked(400, 3000)}, TREE, INFEASIBLE)
    n = network(folder, "equal", layer(20, 4000, ShiftRequantizer(4, "half_up", 0, 4095)))
    certificate(folder, "ranked_outputs", [n], {"or": ranked(4000, 4000)}, TREE, INFEASIBLE)
    n = network(folder, "wide", layer(20000, 50), layer(50, 2))
    certificate(folder, "wide_sums_in_cnf", [n], below(0, 250), SAT, {"lrat.0": np.zeros(8, np.uint8)})
    n = network(folder, "levels", layer(10, 20000, ShiftRequantizer(0, "half_up", 0, 4094)))
    certificate(folder, "facts", [n], below(0, -1), TREE, facts(200, 20000, 0, np.int8), bounds=False)
    certificate(folder, "facts_of_large_numbers", [n], below(0, -1), TREE, facts(200, 20000, 1 << 62, np.int64), bounds=False)
    certificate(folder, "nodes", [n], below(0, -1), TREE, {"kinds": np.zeros(1 << 27, np.uint8)})
    n = network(folder, "small", layer(4, 3))
    term = [1, 0, "output", 0]
    splits = {"kinds": np.array([0] * 3000 + [3] * 3001, np.uint8), "split_value": np.zeros(3000, np.int8), "split_at": np.arange(3000)}
    certificate(folder, "long_inequality", [n], {"and": [{"at_most": [term] * 200_000, "bound": 0}] * 2}, TREE, splits, bounds=False)
    certificate(
        folder, "many_branches", [n], {"or": [below(0, -1)] * 200_000}, TREE, {"kinds": np.array([1] + [3] * 200_000, np.uint8)}, False
    )
    deep = below(0)
    for _ in range(195):
        deep = {"and": [deep, {"or": [below(1)] * 800}]}
    certificate(folder, "deep_formula", [n], deep, TREE, INFEASIBLE)
    n = network(folder, "heavy", layer(20000, 500), layer(500, 2))
    witness = {"inputs.0": np.zeros(20000, np.int8), "outputs.0": np.zeros(2, np.int8)}
    certificate(folder, "heavy_witness", [n], below(0, 500), {"kind": "witness", "true_atoms": [0]}, witness)
    n = network(folder, "outputs", layer(1, 1_000_000))
    certificate(folder, "many_outputs", [n], below(0, -1), TREE, INFEASIBLE)


def write_copies(folder: Path) -> None:
    """One network of 2 MB under twelve names."""
    n = network(folder, "megabytes", layer(1000, 1000, seed=2), layer(1000, 1000, seed=3), layer(1000, 2, seed=4))
    copies = [(n[0], folder / f"megabytes{k}.npz") for k in range(12)]
    for _, path in copies:
        path.write_bytes(n[1].read_bytes())
    certificate(folder, "twelve_names", copies, below(0, -1), TREE, INFEASIBLE, bounds=False)
