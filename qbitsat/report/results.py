"""Results as lines of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from textwrap import wrap

import numpy as np

from ..campaign import Task
from ..network import Network
from ..network.reference import first_maximum
from ..verify import HOLDS, MISCLASSIFIED, SKIPPED, UNKNOWN, VIOLATED, Verdict

# In the order of the summary, each with its word there.
WORDS = {HOLDS: "hold", VIOLATED: "violated", UNKNOWN: "unknown", MISCLASSIFIED: "misclassified", SKIPPED: "skipped"}


def head(task: Task, sample_width: int = 1, eps_width: int = 1) -> str:
    """Which question it is."""
    target = "" if task.target is None else f"  target {task.target}"
    return f"sample {task.sample:<{sample_width}}  eps {task.eps:<{eps_width}}{target}"


def result_line(task: Task, verdict: Verdict, sample_width: int = 1, eps_width: int = 1) -> str:
    """sample, eps, verdict, engine, wall and CPU seconds, and then what else there is to say."""
    word = verdict.verdict if task.settled is None else verdict.verdict.lower()
    note = verdict.reason
    if verdict.witness:
        note = f"class {task.label} becomes {first_maximum(verdict.witness.outputs[0])}"
    elif verdict.unknown:
        note = ", ".join([note, *how_far(verdict.statistics)])
    elif verdict.holds and task.target is not None:
        note = f"class {task.label} never becomes {task.target}"
    parts = f"{word:<13}", f"{verdict.engine or '-':<6}", f"{verdict.seconds:9.3f} s", f"{verdict.cpu_seconds:9.3f} s CPU", note
    return "  ".join((head(task, sample_width, eps_width), *parts)).rstrip()


def how_far(counts: Mapping[str, float]) -> list[str]:
    """What was done of a query that stays open: of the search's tree, of the points, and what the solver was given."""
    notes = []
    if counts.get("open"):
        notes.append(f"{counts['closed']:.2%} of the tree closed, open nodes {counts['open']:.0f}")
    if "point_bits" in counts:
        done = f"{counts['points'] / 2 ** counts['point_bits']:.2%} of " if counts["points"] else ""
        notes.append(f"{done}2**{counts['point_bits']:.1f} points{' run' if done else ''}")
    if "clauses" in counts:
        conflicts = f", {counts['conflicts']:.0f} conflicts" if "conflicts" in counts else ""
        notes.append(f"SAT with {counts['variables']:.0f} variables, {counts['clauses']:.0f} clauses{conflicts}")
    return notes


def details(network: Network, task: Task, verdict: Verdict) -> list[str]:
    """Indented lines: the counts of encoding and solver, and every input element that a witness changes."""
    lines = []
    if verdict.statistics:
        lines.append("    " + "  ".join(f"{name} {value:.10g}" for name, value in verdict.statistics.items()))
    if verdict.witness:
        witness = np.array(verdict.witness.inputs[0])
        changed = np.flatnonzero(witness != task.x).tolist()
        places = [",".join(str(int(k)) for k in np.unravel_index(i, network.input.shape)) for i in changed]
        elements = [f"[{place}]:{task.x[i]}->{witness[i]}" for i, place in zip(changed, places, strict=True)]
        count = "1 input element changes" if len(changed) == 1 else f"{len(changed)} input elements change"
        text = f"{count}: {', '.join(elements)}"
        lines += wrap(text, 120, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
        lines.append(f"    outputs {list(verdict.witness.outputs[0])}")
    return lines


def summary(
    counts: Counter[str], reasons: Counter[str], seconds: float, epsilons: Iterable[int], network: Network, target: int | None = None
) -> list[str]:
    """What came out of all queries; reasons are those of UNKNOWN, seconds the time of the whole run."""
    against = "" if target is None else f" against target {target}"
    parts = [f"{counts[verdict]} {word}" for verdict, word in WORDS.items() if counts[verdict] or verdict in (HOLDS, VIOLATED, UNKNOWN)]
    total = counts.total()
    lines = [f"{total} {'query' if total == 1 else 'queries'}{against} in {seconds:.3f} s: {', '.join(parts)}"]
    if reasons:
        lines.append("unknown because of " + ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common()))
    if network.runtime:
        lines.append(f"integers as the runtime {network.runtime} computes them")
    scales = dict.fromkeys(form.scale for form in network.inputs)
    lines += [f"eps {eps} is {' or '.join(f'{eps * scale:g}' for scale in scales)} in real units" for eps in epsilons]
    return lines
