"""The entry point: from arguments to an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from ..errors import ArgumentError, QbitsatError
from ..network.names import printable
from . import question, vnnlib
from .agree import agree, equal
from .arguments import build
from .check import check
from .commands import export, inspect, verify
from .compare import compare
from .demo import demo
from .gap import gap_command
from .monotone import monotone_command
from .output import EXIT_BAD_INPUT
from .quantize import bits, quantize
from .radius import radius_command
from .reach import overflow_command, range_command
from .run import run as run_network
from .signals import deaf, exit_code, listen
from .streams import EXIT_BROKEN_PIPE, NO_READER, Output, OutputLost, guarded, open_missing

COMMANDS = {
    "demo": demo,
    "inspect": inspect,
    "run": run_network,
    "quantize": quantize,
    "verify": verify,
    "bits": bits,
    "radius": radius_command,
    "range": range_command,
    "overflow": overflow_command,
    "monotone": monotone_command,
    "agree": agree,
    "equal": equal,
    "gap": gap_command,
    "export": export,
    "compare": compare,
    "check": check,
    "supports": vnnlib.supports,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what is not the user's doing escapes as an exception.

    What a command writes with --out is what it is for: it goes on although standard output is lost.
    """
    with guarded() as output:
        try:
            code = run(argv, output)
            output.flush()
            return code
        except OutputLost as lost:
            if lost.error.errno in NO_READER:
                return EXIT_BROKEN_PIPE
            return refuse(lost)


def run(argv: Sequence[str] | None, output: Output) -> int:
    """The command's exit code; `output` learns whether it may be lost."""
    try:
        words = sys.argv[1:] if argv is None else argv
        form = next((form for form in (question, vnnlib) if form.is_asked(words)), None)
        args = form.parse(words) if form is not None else build(COMMANDS).parse_args(argv)
        output.may_be_lost = getattr(args, "out", None) is not None
        with logged() if getattr(args, "verbose", 0) > 1 else nullcontext():
            return args.run(args)
    except QbitsatError as error:
        return refuse(error)
    except KeyboardInterrupt as interrupt:
        return exit_code(interrupt)
    except SystemExit:  # --help and --version
        output.flush()
        raise


def refuse(error: Exception) -> int:
    """Say what is wrong, of an argument by the name of its option."""
    said = f"--{error.argument.replace('_', '-')}: {error.said}" if isinstance(error, ArgumentError) else str(error)
    print(f"qbitsat: error: {printable(' '.join(said.splitlines()))}", file=sys.stderr)
    return EXIT_BAD_INPUT


@contextmanager
def logged() -> Iterator[None]:
    """What qbitsat logs goes to standard error."""
    logger, handler = logging.getLogger("qbitsat"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("qbitsat: %(message)s"))
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def entry() -> None:
    """The console script and `python -m qbitsat`."""
    open_missing()
    listen()
    try:
        code = main()
    except KeyboardInterrupt as interrupt:  # while the exit code was on its way
        code = exit_code(interrupt)
    deaf()
    sys.exit(code)
