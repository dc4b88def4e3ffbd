"""What --help says of exit codes: of one command its own, of all together which command means what."""

from __future__ import annotations

import textwrap

# Code, the commands, "" for all of them, and what it means.
EXITS = (
    ("0", "verify", "every verified query holds; of a question file: it holds, or every optimum is proved, or there is none"),
    ("0", "demo inspect run quantize export supports", "done"),
    ("0", "bits", "a width, or a choice of widths, reaches the target"),
    ("0", "radius", "all radii are exact"),
    ("0", "range", "all ranges are exact"),
    ("0", "overflow", "no accumulator leaves the width"),
    ("0", "monotone", "no output ever falls"),
    ("0", "agree equal", "all agree"),
    ("0", "gap", "all gaps are exact"),
    ("0", "compare", "backends agree"),
    ("0", "check", "all is proved"),
    ("10", "verify", "some query is violated"),
    ("10", "bits", "every width misses the target"),
    ("10", "overflow", "some accumulator leaves the width"),
    ("10", "monotone", "some output falls"),
    ("10", "agree equal", "some input tells the two apart"),
    ("5", "verify", "none is violated, but some are unknown, or there was nothing to verify"),
    ("5", "bits", "no width is known to reach the target, and some are open"),
    ("5", "quantize", "a limit ran out before there was a network"),
    ("5", "radius", "some radius is open, or there was none to find"),
    ("5", "verify", "of a question file with objectives: some optimum is open, and an interval is left"),
    ("5", "range", "some range is open"),
    ("5", "overflow", "whether some accumulator leaves the width is open"),
    ("5", "monotone", "no output is known to fall, but that is open"),
    ("5", "gap", "some gap is open"),
    ("5", "agree equal", "none is known to tell the two apart, but that is open"),
    ("5", "export", "there was nothing to export, or the limits were too small to export something"),
    ("5", "check", "nothing is refused, but something is unknown or was not checked, or there was nothing to check"),
    ("20", "check", "something is refused"),
    ("2", "", "bad usage or bad input"),
    ("2", "check", "nothing is refused, but some certificate or line can't be read"),
    ("1", "", "a fault of qbitsat itself"),
    ("1", "compare", "backends disagree"),
    ("130", "", "interrupted by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP; finished results are kept"),
    ("141", "", "nobody reads the output, and there is no --out"),
)
WIDTH = 130


def exit_codes(command: str | None = None) -> str:
    """The codes of a command, or of all."""
    meanings: dict[str, list[str]] = {}
    for code, commands, meaning in EXITS:
        if command is None:
            meanings.setdefault(code, []).append(f"{meaning} ({', '.join(commands.split())})" if commands else meaning)
        elif not commands or command in commands.split():
            meanings.setdefault(code, []).append(meaning)
    lines = (
        textwrap.fill("; ".join(said), WIDTH, initial_indent=f"  {code:<5}", subsequent_indent=" " * 7) for code, said in meanings.items()
    )
    return "\n".join(("exit codes:", *lines)) + "\n"
