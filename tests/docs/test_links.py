"""Every link of the docs leads to a file of the repository, and to a heading that it has."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for folder in (".", "docs", "bench", "tests") for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md"))
LINK = re.compile(r"\]\(([^()\s]+)\)")


def without_code(text: str) -> str:
    """The text without fenced and indented blocks, and without code in lines."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda code: re.sub(r"[\[\]()]", "", code[0]), text)


def anchors(page: Path) -> set[str]:
    """What GitHub calls a page's headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ +(.*?)\s*$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    for link in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{link}: no such file"
        assert path.is_relative_to(ROOT), f"{link}: outside the repository"
        assert not anchor or anchor in anchors(path), f"{link}: {path.name} has the headings {sorted(anchors(path))}"


def test_pages_are_found():
    """All pages that git has, where this is a clone."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert {"README.md", "docs/guide/README.md"} <= {str(page.relative_to(ROOT)) for page in PAGES}
    assert set(listed.stdout.split()) <= {str(page.relative_to(ROOT)) for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page):
    for name in re.findall(r"`((?:qbitsat|csrc|bench|tests|docs)/[\w./]*\w)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{name}: no such file"
