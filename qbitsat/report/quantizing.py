"""What quantizing did, and how many bits it takes, as tables and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..bits import Bits, Trial, WidthGap, WidthResult
from ..errors import MissingExtraError
from ..quantize import Report
from .table import table

# Most formats with the bits of one number fit into it.
TEXT_WIDTH = 28


def quantization_table(report: Report) -> str:
    """A row a layer: its formats, what of its weights and biases was clipped or became 0, and its error in real units."""
    measured = report.samples > 0
    header = ["layer", "formats", "step", "clipped", "became 0", *(["max error", "mean error"] if measured else [])]
    rows = []
    for entry in report.layers:
        loss = entry.loss
        clipped = f"{loss.weights_clipped}+{loss.biases_clipped}" if loss else "-"
        zeroed = f"{loss.weights_zeroed}+{loss.biases_zeroed} of {loss.weights}+{loss.biases}" if loss else "-"
        errors = [f"{error:.4g}" for error in (entry.max_error, entry.mean_error) if error is not None]
        rows.append([entry.name, entry.formats, f"{entry.step:.4g}", clipped, zeroed, *errors])
    return table([header, *rows])


def accuracies(report: Report) -> str:
    """Of the float model and of the network, on the samples with labels."""
    count = f"{report.samples} {'sample' if report.samples == 1 else 'samples'}"
    return f"accuracy on {count}: float {report.float_accuracy:.4f}, quantized {report.accuracy:.4f}"


def width_line(result: WidthResult) -> str:
    """A width that is finished."""
    open_ones = f", {result.unknown} open" if result.unknown else ""
    counts = f"{result.holds} hold, {result.violated} violated{open_ones}, {result.misclassified} misclassified"
    fairness = "" if result.gap is None else f"  gap {gap_span(result.gap)}"
    return f"{result.width.text:<{TEXT_WIDTH}}  robust {span(result)}  {counts}{fairness}  {result.seconds:.1f} s"


def trial_line(trial: Trial) -> str:
    """A choice of bits for each layer that is decided, or open."""
    r = trial.result
    bits = ", ".join(map(str, trial.bits))
    counts = f"{r.holds} hold, {r.violated} violated, {r.misclassified} misclassified, {r.unknown} not asked or open"
    return f"{bits} bits  {trial.weight_bits} weight bits  {trial.outcome:<7}  {counts}  {r.seconds:.1f} s"


def span(result: WidthResult) -> str:
    """The robust part of the samples: both bounds where they differ."""
    return f"{result.lower:.3f}" if result.lower == result.upper else f"{result.lower:.3f} to {result.upper:.3f}"


def gap_span(gap: WidthGap) -> str:
    """The fairness gap in real units: both bounds where they differ."""
    if gap.upper is None:
        return f"{gap.lower:.6g} or more"
    return f"{gap.lower:.6g}" if gap.lower == gap.upper else f"{gap.lower:.6g} to {gap.upper:.6g}"


def bits_table(found: Bits) -> str:
    """A row a width."""
    with_gap = any(r.gap is not None for r in found.results)
    header = ("bits", "format", "accuracy", "robust", "by attack alone", "open", *(["gap"] if with_gap else []), "clipped", "time")
    rows = [
        (
            r.width.bits,
            r.width.text,
            "-" if r.accuracy is None else f"{r.accuracy:.4f}",
            span(r),
            f"{r.by_attack:.3f}",
            r.unknown,
            *([] if r.gap is None else [gap_span(r.gap)]),
            r.clipped,
            f"{r.seconds:.1f} s",
        )
        for r in found.results
    ]
    return table([header, *rows])


def bits_plot(found: Bits, path: Path) -> None:
    """A PNG: accuracy, both bounds of robustness and what an attack reports, over widths; of several fractional bits the best.

    Raises `MissingExtraError` without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plot", "a plot of widths") from error
    figure = Figure(figsize=(7, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="bits", ylabel="part of the samples", ylim=(0, 1.02))
    best = best_of_each(found.results)
    bits = [r.width.bits for r in best]
    if all(r.accuracy is not None for r in best):
        axes.plot(bits, [r.accuracy or 0.0 for r in best], marker="s", color="tab:gray", label="accuracy")
    axes.plot(bits, [r.by_attack for r in best], marker="^", linestyle="--", color="tab:orange", label="robust, by attack alone")
    axes.plot(bits, [r.upper for r in best], marker="v", color="tab:blue", alpha=0.6, label="robust, upper bound")
    axes.plot(bits, [r.lower for r in best], marker="o", color="tab:blue", label="robust, proved")
    axes.fill_between(bits, [r.lower for r in best], [r.upper for r in best], color="tab:blue", alpha=0.15)
    axes.axhline(found.answer.target, color="black", linewidth=0.8, linestyle=":", label=f"target {found.answer.target:g}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    figure.savefig(path, dpi=150)


def best_of_each(results: Sequence[WidthResult]) -> list[WidthResult]:
    """Of each number of bits the result with the highest lower bound."""
    best: dict[int, WidthResult] = {}
    for result in results:
        known = best.get(result.width.bits)
        if known is None or (result.lower, result.upper) > (known.lower, known.upper):
            best[result.width.bits] = result
    return list(best.values())
