"""What there is where nothing is built yet."""

import shutil
import subprocess
import sys
from pathlib import Path

import qbitsat


def test_clone_that_is_not_built_says_so_in_one_line(tmp_path):
    built = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(Path(qbitsat.__file__).parent, tmp_path / "qbitsat", ignore=built)
    for command in (["-c", "import qbitsat"], ["-c", "import qbitsat.examples"], ["-m", "qbitsat", "demo"]):
        result = subprocess.run([sys.executable, *command], cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
        last = result.stderr.splitlines()[-1]
        assert last.startswith(f"ImportError: the kernels of {tmp_path / 'qbitsat'} are not built for this Python")
        assert last.endswith("-m pip install -e .")
        assert result.returncode == 1
