"""A query by SAT alone, from encoding to replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from ..bounds import Ranges
from ..encode import encode_ways
from ..limits import Limits
from ..options import LAYOUTS
from ..properties import Formula, Query, Witness, confirm
from . import sat


class Decision(NamedTuple):
    """The solver's answer, the replayed witness where it is satisfiable, the hash of the whole formula's CNF, and its encoding."""

    result: sat.SatResult
    witness: Witness | None
    cnf_sha256: str
    encoding: str


def decide(query: Query, bounds: Ranges, formula: Formula, options: Any, limits: Limits, statistics: dict[str, float]) -> Decision:
    """Encode and solve. After an assignment that does not replay the query is encoded anew, plainly, with nothing narrowed or added.

    `statistics` gets the sizes of what was encoded last, the solver's counts, and how many assignments did not replay.
    """
    for encoding in dict.fromkeys((options.encoding, *LAYOUTS)):
        encoded = encode_ways(query, bounds, replace(options, encoding=encoding), formula, limits)
        statistics.update(encoded.sizes, encode_seconds=limits.seconds())
        result, inputs = sat.decide(encoded, options, limits)
        statistics.update(result.statistics)
        witness = None if inputs is None else confirm(query, inputs, f"sat, encoding {encoding}", statistics, limits)
        if inputs is None or witness is not None:
            return Decision(result, witness, encoded.whole.sha256, encoding)
    return Decision(sat.SatResult(None, "no assignment of the solver replays"), None, "", options.encoding)
