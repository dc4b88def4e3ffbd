"""What the runs of a race come to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qbitsat.campaign.compare import ERROR, Backend, Run, standings
from qbitsat.report import table
from qbitsat.verify import HOLDS, VIOLATED

from .race import NO_REPLAY

CONTRADICTED = "contradicted by a witness that replays"


def judged(runs: Sequence[Run]) -> list[Run]:
    """The runs, with an error in place of each HOLDS that another tool's witness contradicts: every witness was replayed."""
    violated = {run.task.index for run in runs if run.verdict == VIOLATED}
    return [
        replace(run, verdict=ERROR, reason=CONTRADICTED) if run.verdict == HOLDS and run.task.index in violated else run for run in runs
    ]


def left_open(runs: Sequence[Run]) -> list[Run]:
    """Those of queries that bounds alone do not decide."""
    decided = {run.task.index for run in runs if run.statistics["by_bounds"]}
    return [run for run in runs if run.task.index not in decided]


def rows(runs: Sequence[Run], tools: Sequence[str], timeout: float) -> list[dict[str, Any]]:
    """A row a tool over judged runs. wrong: no replay, or contradicted; it costs as much as a timeout.

    par2: mean seconds, what is not solved counted with twice the timeout. ratio: geometric mean of the seconds over those
    of the first tool, on the `common` queries that both solve; None without any.
    """
    result = []
    for tool, standing in zip(tools, standings(runs, [Backend(tool) for tool in tools], timeout), strict=True):
        mine = [run for run in runs if run.backend.name == tool]
        wrong = sum(run.reason in (NO_REPLAY, CONTRADICTED) for run in mine)
        result.append(
            {
                "tool": tool,
                "solved": standing.solved,
                "holds": standing.holds,
                "violated": standing.violated,
                "timeouts": standing.timeouts,
                "other": standing.other,
                "wrong": wrong,
                "crashed": standing.errors - wrong,
                "par2": _number(standing.par2),
                "ratio": _number(standing.ratio),
                "common": standing.common,
            }
        )
    return result


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def text(summary: Sequence[dict[str, Any]]) -> str:
    """The rows as a table; a dash where there is no number."""
    cells = [["-" if value is None else value for value in row.values()] for row in summary]
    return table([list(summary[0]), *cells])
