"""Fixtures of the command line's tests."""

import pytest
from larger import Files, write_files


@pytest.fixture
def files(tmp_path) -> Files:
    return write_files(tmp_path)
