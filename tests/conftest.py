"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """The folder of benchmark networks and images: $QBITSAT_BENCH_DATA, else ../shared/benchmarks."""
    folder = Path(os.environ.get("QBITSAT_BENCH_DATA") or ROOT.parent / "shared" / "benchmarks")
    if not folder.is_dir():
        pytest.skip(f"benchmark data: no folder {folder}; set QBITSAT_BENCH_DATA to run this test")
    return folder
