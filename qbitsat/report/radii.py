"""Radii as lines, and how they are spread."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from ..campaign import Task
from ..network import Network
from ..network.names import printable
from ..network.reference import first_maximum
from ..radii import Radius
from ..verify import MISCLASSIFIED, SKIPPED

# Characters of the longest bar, and rows of a histogram: more distances share rows.
BAR, ROWS = 50, 24
WORDS = {MISCLASSIFIED: "misclassified", SKIPPED: "skipped"}


def radius_line(task: Task, found: Radius, width: int = 1) -> str:
    """sample, radius or what is left of it, seconds, and what is beyond."""
    head = f"sample {task.sample:<{width}}"
    if found.verdict in WORDS:
        return f"{head}  {WORDS[found.verdict]:<13}  {found.reason}"
    if found.radius is None:
        said, note = "radius unknown", found.reason
    elif not found.optimal:
        said, note = f"radius {found.radius} to {found.upper}", found.reason
    else:
        said, note = f"radius {found.radius}", found.reason
    if found.witness is not None:
        note = f"class {task.label} becomes {first_maximum(found.witness.outputs[0])} at {_beyond(found)}{note and f', {note}'}"
    elif found.optimal:
        note = f"no other class up to {found.farthest}, the largest distance asked about{note and f', {note}'}"
    return f"{head}  {said:<13}  {found.seconds:9.3f} s  {found.cpu_seconds:9.3f} s CPU  {note}".rstrip()


def _beyond(found: Radius) -> str:
    return "?" if found.upper is None else str(found.upper + 1)


def radius_details(found: Radius) -> list[str]:
    """Indented lines: counts of searches, and the outputs of a witness."""
    lines = ["    " + "  ".join(f"{name} {value:.10g}" for name, value in found.statistics.items())] if found.statistics else []
    return [*lines, f"    outputs {list(found.witness.outputs[0])}"] if found.witness is not None else lines


def radius_summary(found: Sequence[Radius], network: Network, norm: str, seconds: float) -> list[str]:
    """How many are exact, and the histogram of radii: # exact, ? at least so far."""
    exact = [part.radius for part in found if part.optimal and part.radius is not None]
    open_ = [part.radius for part in found if part.verdict == "UNKNOWN" and part.radius is not None]
    counts = Counter(part.verdict for part in found)
    parts = [f"{len(exact)} exact", f"{counts['UNKNOWN']} open", *(f"{counts[v]} {word}" for v, word in WORDS.items() if counts[v])]
    samples = f"{len(found)} {'sample' if len(found) == 1 else 'samples'}"
    lines = [f"{samples} of {printable(network.name)}, {norm}, in {seconds:.3f} s: {', '.join(parts)}"]
    if exact:
        middle = statistics.median(exact)
        step = f", {network.input.scale * middle:.6g} in real units" if norm != "l0" else ""
        lines.append(f"exact radii: smallest {min(exact)}, median {middle:g}{step}, largest {max(exact)}")
    return [*lines, *histogram(exact, open_)]


def histogram(exact: Sequence[int], open_: Sequence[int]) -> list[str]:
    """A row for each radius, or for as many next to each other as ROWS needs: # is an exact one, ? one that is at least so large."""
    if not exact and not open_:
        return []
    least, most = min([*exact, *open_]), max([*exact, *open_])
    size = -(-(most - least + 1) // ROWS)
    rows = [(start, min(start + size - 1, most)) for start in range(least, most + 1, size)]
    counts = [[sum(a <= value <= b for value in values) for values in (exact, open_)] for a, b in rows]
    names = [str(a) if a == b else f"{a} to {b}" for a, b in rows]
    unit = max(1, -(-max(map(sum, counts)) // BAR))
    lines = [f"  radius  samples{'' if unit == 1 else f', {unit} for each sign'}"]
    for name, (sure, at_least) in zip(names, counts, strict=True):
        bar = "#" * -(-sure // unit) + "?" * -(-at_least // unit)
        lines.append(f"  {name:>6}  {bar} {sure + at_least}".rstrip() if bar else f"  {name:>6}")
    return lines
