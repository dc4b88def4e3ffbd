"""Fixtures for all tests."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import qbitsat
from qbitsat.examples import images_path, labels_path, network_path

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def interrupts():
    """Ctrl-C works in the tests and in the processes that they start, also where a shell has it ignored, as in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of benchmark networks and images: $QBITSAT_BENCH_DATA, else ../shared/benchmarks."""
    folder = Path(os.environ.get("QBITSAT_BENCH_DATA") or ROOT.parent / "shared" / "benchmarks")
    if not folder.is_dir():
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"benchmark data: no folder {folder}; set QBITSAT_BENCH_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def digits():
    """The shipped network, images and labels."""
    return qbitsat.load(network_path()), np.load(images_path()), np.load(labels_path())
