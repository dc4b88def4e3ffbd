"""Write what the docs quote from the program: python docs/generate.py [PAGE...]

    docs/reference/commands.md   every command's help, at 100 columns
    docs/reference/options.md    the table of qbitsat/options.py
    docs/reference/api.md        signatures and docstrings
    docs/reference/trust.md      the files that `check` rests on, and their sizes (docs/trust.py)
    docs/reference/exit-codes.md the codes of qbitsat/cli/exit_codes.py
    CONTRIBUTING.md              the order of rooms, from tests/test_imports.py
    README.md, docs/guide/*.md   examples and what they print (docs/transcripts.py)

tests/docs/test_generated.py fails where a page says anything else.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import api  # noqa: E402
import transcripts  # noqa: E402
import trust  # noqa: E402

from qbitsat.cli.exit_codes import EXITS  # noqa: E402
from qbitsat.options import TABLE  # noqa: E402

NOTE = "<!-- Written by docs/generate.py from the program: don't edit. -->\n\n"
COMMANDS_HEAD = "# Commands\n\nAs the program prints them. Exit codes and environment: [exit-codes.md](exit-codes.md).\n"
OPTIONS_HEAD = """# Options

From Python: `qbitsat.verify(query, timeout=60, attack=False)`. On the command line: `--timeout 60 --no-attack`, with `-` for
`_`; `qbitsat verify` has all of them. A value outside its range is refused. Defaults of the numbers that steer the search were
measured ([lab](../lab/search-tried.md)).

| option | default | values | meaning |
|---|---|---|---|
"""


def commands() -> str:
    """The help of the program and of every command."""
    first = help_of()
    names = [line.split()[0] for line in first.split("COMMAND\n")[-1].split("\n\n")[0].splitlines() if re.match(r" {4}\S", line)]
    # `--help-all`, where a command has it, says more than `--help`.
    more = [(f"{name} --help-all", help_of(name, "--help-all")) for name in names if "--help-all" in help_of(name)]
    more += [(name, help_of(*name.split())) for name in ("verify QUESTION.toml", "verify QUERY.vnnlib")]
    parts = [("", first), *((name, help_of(name)) for name in names), *more]
    return COMMANDS_HEAD + "".join(f"\n## qbitsat {name}".rstrip() + f"\n```text\n{text}```\n" for name, text in parts)


def help_of(*arguments: str) -> str:
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "qbitsat", *arguments, *([] if "--help-all" in arguments else ["--help"])]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def options() -> str:
    """A row for each option."""
    rows = []
    for row in TABLE:
        most = "" if row.hi == float("inf") else f" to {row.hi:,}"
        least = f"{row.lo:,}{most}" if most else f"at least {row.lo:,}"
        values = ", ".join(f"`{word}`" for word in row.choices) or ("yes or no" if row.kind is bool else least)
        words = {None: "no limit", True: "yes", False: "no"}
        default = f"`{row.default}`" if row.choices else words[row.default] if row.default is None or row.kind is bool else row.default
        rows.append(f"| `{row.name}` | {default} | {values} | {row.text} |\n")
    return OPTIONS_HEAD + "".join(rows)


def rooms(text: str) -> str:
    """CONTRIBUTING.md with the order that tests/test_imports.py walks."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text(encoding="utf-8"))
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ORDER"]
    lines, width = [[]], 0
    for name in ast.literal_eval(values[0]):
        if width + len(name) > 100:
            lines, width = [*lines, []], 0
        lines[-1].append(name)
        width += len(name) + 3
    return between(text, "rooms", "".join(f"    {'< ' if k else ''}{' < '.join(line)}\n" for k, line in enumerate(lines)))


def exit_codes(text: str) -> str:
    """The page with the table of exit codes."""
    rows, last = ["| code | commands | meaning |\n|---|---|---|\n"], ""
    for code, names, meaning in EXITS:
        rows.append(f"| {code if code != last else ''} | {', '.join(names.split()) or 'all'} | {meaning} |\n".replace("|  |", "| |"))
        last = code
    return between(text, "exit codes", "".join(rows))


def between(text: str, name: str, block: str) -> str:
    """The page with the block between the comments of that name."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    return f"{text.partition(start)[0]}{start}\n{block}\n{end}{text.partition(end)[2]}"


def pages() -> dict[Path, Callable[[str], str]]:
    """Each page with what it should say, given what it says now."""
    reference = ROOT / "docs" / "reference"
    written: dict[Path, Callable[[str], str]] = {
        reference / "commands.md": lambda _: NOTE + commands(),
        reference / "options.md": lambda _: NOTE + options(),
        reference / "api.md": lambda _: NOTE + api.page(),
        reference / "trust.md": trust.filled,
        reference / "exit-codes.md": exit_codes,
        ROOT / "CONTRIBUTING.md": rooms,
    }
    return written | dict.fromkeys((ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))), transcripts.filled)


if __name__ == "__main__":
    chosen = {Path(name).resolve() for name in sys.argv[1:]} or set(pages())
    for path, page in pages().items():
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        new = page(old) if path in chosen else old
        if new != old:
            path.write_text(new, encoding="utf-8")
            print("written:", path.relative_to(ROOT))
