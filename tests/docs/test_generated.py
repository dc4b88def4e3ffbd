"""What pages quote from the program is what it says now."""

import re
import sys

import pytest
from test_links import ROOT

import qbitsat
from qbitsat.cli.exit_codes import exit_codes

sys.path.insert(0, str(ROOT / "docs"))
import generate
import transcripts

REMEDY = "python docs/generate.py"


@pytest.mark.parametrize("page", generate.pages().items(), ids=lambda page: str(page[0].relative_to(ROOT)))
def test_pages_are_not_stale(page):
    path, written = page
    text = path.read_text(encoding="utf-8")
    assert written(text) == text, f"{path.relative_to(ROOT)} is stale; write it anew: {REMEDY}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "guide").glob("*.md")), ids=lambda path: path.name)
def test_every_block_of_the_guide_is_an_example(path):
    assert "```" not in transcripts.PLACE.sub("", path.read_text(encoding="utf-8"))


def test_every_example_stands_in_the_guide():
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs" / "guide").glob("*.md")))
    assert {path.name for path in transcripts.EXAMPLES.iterdir() if path.is_file()} == set(dict(transcripts.PLACE.findall(pages)))


def test_help_of_a_command_has_its_exit_codes_alone():
    said = exit_codes("verify")
    assert "  10   some query is violated\n" in said
    assert "accumulator" not in said
    assert "(verify)" not in said


def test_citation_names_this_version():
    assert f"\nversion: {qbitsat.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_extras_are_those_that_exist():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.optional-dependencies]")[1].split("\n[")[0]
    page = (ROOT / "docs" / "guide" / "install.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+) = \[", project, re.MULTILINE)) == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))


def test_named_flags_exist():
    flag = re.compile(r"(?<![\w-])--[a-z][\w-]*")
    scripts = [path for folder in ("bench", "tests") for path in (ROOT / folder).rglob("*.py")]
    programs = [ROOT / "docs" / "reference" / "commands.md", *scripts]
    known = {name for path in programs for name in flag.findall(path.read_text(encoding="utf-8"))}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*/*.md")):
        assert set(flag.findall(page.read_text(encoding="utf-8"))) <= known, page


def test_numbers_of_pages_are_compared():
    """All but times, how far a timeout let a search come, and what floats lead to; in the indented lines of a source, too."""
    same = [
        ("1 query in 0.102 s: 1 hold", "1 query in 1.5 s: 1 hold"),
        (
            "s  UNKNOWN  -  0.101 s  timeout, 95.05% of the tree closed",
            "s  UNKNOWN  -  0.11 s  timeout, 9% of the tree closed, open nodes 1",
        ),
        ("    2 input elements change: [0,1]:0->1,\n    [0,2]:1->2", "    1 input elements change: [1,1]:0->1"),
        ("  outputs (12, -7)", "  outputs (-1, 8)"),
    ]
    other = [
        ("  applicant (34, 15, 15, 0) decline, approve (1, 2)", "  applicant (16, 3, 38, 0) decline, approve (2, 3)"),
        ("    return x + 1", "    return x + 2"),
        ("sample 9  UNKNOWN  timeout, 95% of the tree closed", "sample 8  UNKNOWN  timeout, 95% of the tree closed"),
    ]
    assert all(transcripts.lasting(one) == transcripts.lasting(two) for one, two in same)
    assert all(transcripts.lasting(one) != transcripts.lasting(two) for one, two in other)
