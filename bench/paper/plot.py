"""Fig. 4: how many samples took how long, at each width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qbitsat.errors import MissingExtraError


def histogram(found: dict[str, Any], path: Path) -> None:
    """A PNG of the counts that `tables.fig4` gives. Raises `MissingExtraError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "a histogram") from error
    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="seconds", ylabel="samples")
    width = 0.8 / len(found)
    for k, (bits, row) in enumerate(found.items()):
        counts = [*row["counts"], row["open"]]
        axes.bar([i + k * width for i in range(len(counts))], counts, width, label=f"{bits} bits")
    words = [*(f"< {end:g}" for end in row["classes"]), "more", "open"]
    axes.set_xticks([i + 0.4 - width / 2 for i in range(len(words))], words)
    axes.legend()
    figure.savefig(path, dpi=150)
