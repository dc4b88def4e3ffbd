"""Fixtures of the command line's tests."""

from pathlib import Path

import pytest
from larger import Files, write_files

from qbitsat.cli.main import main


@pytest.fixture
def files(tmp_path) -> Files:
    return write_files(tmp_path)


@pytest.fixture
def results(files, tmp_path, capsys) -> Path:
    """The folder of a run with certificates: samples 0 and 2 hold, 1 is violated, 3 is misclassified."""
    assert main(files.arguments("--out", str(tmp_path / "results"), "--certificates")) == 10
    capsys.readouterr()
    return tmp_path / "results"


@pytest.fixture
def audit(results, files, capsys):
    """Check the folder, with the network and the data set if that is asked for: exit code and output."""

    def run(*more: str, data: bool = True) -> tuple[int, str]:
        code = main(["check", str(results), *(files.data(network=True) if data else ()), *more])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run
