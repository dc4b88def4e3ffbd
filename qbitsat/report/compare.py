"""A comparison of backends as lines, a table and a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..campaign.compare import Backend, Run, Standing
from ..errors import MissingExtraError
from ..verify import HOLDS, VIOLATED
from .table import table

HEADER = ("backend", "solved", "holds", "violated", "timeouts", "other", "errors", "PAR-2", "ratio", "common")


def run_line(run: Run, backend_width: int = 1) -> str:
    """Which query, backend, verdict, seconds, and the reason if there is one."""
    head = f"{run.task.title}  {run.backend!s:<{backend_width}}"
    return f"{head}  {run.verdict:<8}  {run.seconds:9.3f} s  {run.reason}".rstrip()


def standings_table(standings: Sequence[Standing]) -> str:
    """A row a backend; PAR-2 in seconds, ratio with the number of common tasks it is taken over."""
    rows = [
        (
            str(s.backend),
            s.solved,
            s.holds,
            s.violated,
            s.timeouts,
            s.other,
            s.errors,
            _right(s.par2, 3, 8),
            _right(s.ratio, 2, 5),
            s.common,
        )
        for s in standings
    ]
    return table([HEADER, *rows])


def _right(number: float, digits: int, width: int) -> str:
    """To the right of a column of numbers and dashes; a dash where there is no number."""
    return ("-" if math.isnan(number) else f"{number:.{digits}f}").rjust(width)


def cactus(runs: Sequence[Run], backends: Sequence[Backend], path: Path) -> None:
    """A PNG: how many tasks each backend decides within how many seconds each. Raises `MissingExtraError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "a cactus plot") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="queries decided", ylabel="seconds for each, at most", yscale="log")
    for backend in backends:
        seconds = sorted(run.seconds for run in runs if run.backend == backend and run.verdict in (HOLDS, VIOLATED))
        axes.plot(range(1, len(seconds) + 1), seconds, marker=".", label=str(backend))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    figure.savefig(path, dpi=150, format="png")
