"""The page on trust names every file that `check` rests on; its sizes are generated (test_generated.py)."""

import sys

from test_links import ROOT

sys.path[:0] = [str(ROOT / "docs"), str(ROOT / "tests")]
import trust  # noqa: E402
from test_imports import PACKAGE, imported  # noqa: E402

# What the command calls.
STARTS = ("certificate/folder.py", "certificate/words.py")


def module(name: str):
    """The file of a dotted name, or of what it is taken from; None for kernels and what the root gathers."""
    parts = name.split(".")[1:]
    for k in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:k])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.exists():
                return file
    return None


def reached() -> set[str]:
    """Every file that is behind the checker, packages' own aside unless they hold code."""
    found, stack = set(), [PACKAGE / name for name in STARTS]
    while stack:
        path = stack.pop()
        if path is None or path in found or path == PACKAGE / "__init__.py":
            continue
        found.add(path)
        stack += [module(name) for name in imported(path)] + [path.parent / "__init__.py"]
    return {str(path.relative_to(PACKAGE)) for path in found if path.name != "__init__.py" or "def " in path.read_text(encoding="utf-8")}


def test_every_file_is_named():
    named = {name for names in trust.GROUPS.values() for name in names}
    behind = {name for name in named if not name.startswith(("cli", "campaign", "processes"))}
    assert reached() == behind | set(trust.IDLE)
    assert not named & set(trust.IDLE)


def test_sums_count_every_file_once():
    total = sum(trust.lines(name) for name in {name for names in trust.GROUPS.values() for name in names})
    assert f"In all {round(total, -1):,} lines" in (ROOT / "docs" / "reference" / "trust.md").read_text(encoding="utf-8")
