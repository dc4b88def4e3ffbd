"""Where the modules of the tests are, for commands that run without pytest; pyproject.toml says the same to pytest."""

import sys
from pathlib import Path

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS.parent), *(str(TESTS / folder) for folder in ("twins", "generators", "files"))]
