"""--print: the question of a command as a question file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..properties import Query
from ..properties.question_file import NetworkFile, question_text
from .output import EXIT_HOLDS

PRINTED = "print the question as a file, for `verify QUESTION.toml`, instead of asking it"


def add_print_or_out(parser: argparse.ArgumentParser, lines: str, text: str = PRINTED) -> None:
    """One of --print and --out: of a question that is printed nothing is written. `lines` says what is written otherwise."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--print", action="store_true", help=text)
    group.add_argument("--out", metavar="DIR", type=Path, help=f"write results.jsonl there, {lines}")


def one_of(questions: Sequence[Any]) -> Any:
    """The only one; a file holds no more."""
    if len(questions) != 1:
        raise InputError(f"--print: {len(questions)} questions, expected one: choose with --samples and --eps")
    return questions[0]


def file_of(args: argparse.Namespace, name: str = "net", **other: Any) -> NetworkFile:
    """The command's network by a name in the question; `other` says what is different of a second one."""
    given = {"path": str(args.network), "bits": args.bits, "input_bits": args.input_bits, "runtime": args.runtime}
    given["accumulator"] = args.accumulator
    return NetworkFile(name, **{**given, **other})


def print_question(query: Query, files: Sequence[NetworkFile], title: str, **how: Any) -> int:
    """Print the text; `how` is as of `question_text`."""
    print(question_text(query, files, title=title, **how), end="")
    return EXIT_HOLDS
