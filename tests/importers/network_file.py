"""A small network, its file in parts, and the check that a file is refused; shared by the tests of importers."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError
from qbitsat.importers import load, save
from qbitsat.network import Dense, Network, TensorFormat


def small_network(**changes) -> Network:
    fields = {
        "name": "only",
        "input": TensorFormat((2,), 0, 15, 0.5),
        "output": TensorFormat((3,), 0, 15, 0.5),
        "requantizers": tuple(ShiftRequantizer(2, "half_up", 0, 15, offset=offset) for offset in (1, 2, 3)),
        "weights": np.array([[1, -2], [3, 4], [5, 6]]),
        "bias": np.array([7, 8, 9]),
        **changes,
    }
    return Network((Dense(**fields),), "small")


def parts(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and arrays of the small network's file."""
    save(small_network(), path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "header"}
        return json.loads(archive["header"].tobytes()), arrays


def write(path: Path, header, arrays: dict[str, np.ndarray]) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    np.savez(path, header=np.frombuffer(text, np.uint8), **arrays)


def rezip(path: Path, change) -> None:
    """Write the archive's members again, each with the bytes that change(name, data) gives."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(name, data))


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
