"""Who may import whom: each room only what stands before it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qbitsat

PACKAGE = Path(qbitsat.__file__).parent

# A room may import itself and any room to its left.
ORDER = (
    "starting", "errors", "threads", "limits", "processes", "options", "arithmetic", "kernels", "network", "examples", "importers",
    "quantize", "properties", "bounds", "attack", "encode", "solvers", "search", "verify", "optimize", "radii", "reach", "certificate",
    "campaign", "bits", "report", "cli", "__main__",
)  # fmt: skip

# Of the root, which gathers the interface from the rooms, they may read this alone.
VERSION = "qbitsat.__version__"
OPTIONAL = {
    "h5py",
    "tensorflow",
    "keras",
    "sklearn",
    "bitwuzla",
    "z3",
    "cvc5",
    "yices_api",
    "pyboolector",
    "tflite",
    "onnx",
    "onnxruntime",
    "ai_edge_litert",
    "tflite_micro",
    "matplotlib",
}


def room(module: str) -> str:
    """The room of a dotted module name that starts with `qbitsat.`."""
    name = module.split(".")[1]
    return "kernels" if name.startswith("_") and not name.startswith("__") else name


def imported(path: Path) -> set[str]:
    """Full names of everything of ours that a file imports, wherever in it."""
    names = set()
    package = ("qbitsat", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])]) if node.level else node.module
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "qbitsat"}


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_left(path):
    own = room(".".join(("qbitsat", *path.relative_to(PACKAGE).with_suffix("").parts)))
    for name in imported(path):
        assert name != "qbitsat", f"{path} imports the root"
        if name != VERSION:
            assert ORDER.index(room(name)) <= ORDER.index(own), f"{path} imports {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "solvers" / "smt").glob("*.py")), ids=lambda path: path.name)
def test_smt_backends_import_no_kernel(path):
    """Of ours only errors, limits and what watches processes: no compiled module is behind any of these."""
    allowed = ("qbitsat.errors.", "qbitsat.limits.", "qbitsat.processes.", "qbitsat.solvers.smt.")
    assert all(f"{name}.".startswith(allowed) for name in imported(path))


CHECKER = sorted(path for path in (PACKAGE / "certificate").glob("*.py") if path.name not in ("write.py", "archive.py"))


@pytest.mark.parametrize("path", CHECKER, ids=lambda path: path.name)
def test_checker_shares_no_code_with_what_it_checks(path):
    rooms = {"errors", "limits", "arithmetic", "network", "properties", "importers"}
    for name in imported(path):
        assert room(name) in rooms or (room(name) == "certificate" and not {"write", "archive"} & set(name.split("."))), (
            f"{path} imports {name}"
        )


def test_imports_are_seen_at_all():
    edges = {(path.relative_to(PACKAGE).parts[0], room(name)) for path in FILES for name in imported(path) if name.count(".") > 0}
    assert {("verify.py", "search"), ("network", "kernels"), ("cli", "campaign"), ("campaign", "verify")} <= edges


@pytest.mark.parametrize("module", ["qbitsat", "qbitsat.cli.main"])
def test_import_needs_no_optional_package(module):
    code = f"import sys, {module}; print(*(name.split('.')[0] for name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert not OPTIONAL & set(result.stdout.split())
