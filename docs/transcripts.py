"""Examples in pages, and what they print.

A line `<!-- examples/NAME -->` names a file of docs/guide/examples. After it stand blocks that are written here: of a .py file its
text and its output, of a .sh file each command and its output; of a .toml file its text, and it is there for what comes after it. All
examples of a page run in one folder, in their order, which starts with the files of PREPARE. A block stays as it is while what was
printed is the same but for times, engines, the order of lines, how far a search came within a timeout, and what FLOATING names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "guide" / "examples"
PREPARE = ("files.sh", "own_network.py")
PLACE = re.compile(r"^<!-- (?:docs/guide/)?examples/(\S+) -->\n\n?((?:```\w+\n.*?^```\n\n?)*)", re.MULTILINE | re.DOTALL)
TIME = re.compile(r" +\d+\.\d+ s\b")
ENGINE = re.compile(r" (attack|bounds|hybrid|enumerate|sat|auto) +")
# Where a timeout ended a search.
REACHED = re.compile(r"(?<= timeout), \d.*")
# Witnesses and statistics that floats lead to, and which may so differ between processors: image 0 by the attack (first.py), image 4
# by the search (verbose.sh); and what an attack alone reports (bits.sh). The others are of `enumerate`, which has no floats, or the corner
# of a box (threshold.py).
FLOATING = re.compile(
    r"  (outputs \(|pixels changed: \d)|    (nodes \d|\d+ input elements change|\[\d+,\d+\]:|outputs \[)|  +\d+  paper:\d"
)


def filled(text: str) -> str:
    """The page with the blocks of its examples as they are now."""
    if not PLACE.search(text):
        return text
    with tempfile.TemporaryDirectory() as folder:
        for name in PREPARE:
            blocks(name, folder)

        def fill(place: re.Match[str]) -> str:
            new = "\n".join(blocks(place[1], folder))
            return place[0] if lasting(place[2]) == lasting(new) else f"{place[0][: place.start(2) - place.start()].rstrip()}\n{new}\n"

        return PLACE.sub(fill, text)


def lasting(text: str) -> list[str]:
    """What of blocks must not change, line by line."""
    lines = []
    for line in text.split("\n"):
        masked = REACHED.sub("", ENGINE.sub(" * ", TIME.sub(" *", line)))
        if FLOATING.match(line):
            masked = re.sub(r"\[\*,\*\]:.*", "", re.sub(r"-?\d+(\.\d+)?", "*", masked))
        lines.append(masked)
    return sorted(line for line in lines if line.strip())


def blocks(name: str, folder: str) -> list[str]:
    """The blocks of an example, which runs in the folder."""
    text = (EXAMPLES / name).read_text(encoding="utf-8").rstrip("\n")
    if name.endswith(".toml"):
        (Path(folder) / name).write_text(f"{text}\n", encoding="utf-8")
        return [f"```toml\n{text}\n```\n"]
    if name.endswith(".py"):
        output = run([sys.executable, str(EXAMPLES / name)], folder)
        return [f"```python\n{text}\n```\n", *([f"```text\n{output}```\n"] if output else [])]
    parts = re.findall(r"(?:[^\n]*\\\n)*[^\n]+", text)
    # Each command is printed before it runs, with its exit code kept for a `$?` in the next.
    shown = "".join(f"cat <<'SHOWN'\n{'' if part[0] == '#' else '$ '}{part}\nSHOWN\n(exit $code)\n{part}\ncode=$?\n" for part in parts)
    return [f"```console\n{run(['bash', '-c', 'code=0; ' + shown], folder)}```\n"]


def run(command: list[str], folder: str) -> str:
    """What it prints, errors too, with the `python` and `qbitsat` of this interpreter."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode and command[0] != "bash":
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout
