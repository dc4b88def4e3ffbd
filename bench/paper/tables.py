"""The paper's tables and figures: each asks what it needs, of runs that are kept, and gives its figures and a text."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

import qbitsat
from qbitsat.campaign import Task, Verifier, query_of
from qbitsat.campaign.compare import Backend, compare, parse_backends
from qbitsat.network import Network, classify
from qbitsat.verify import HOLDS, MISCLASSIFIED, UNKNOWN, VIOLATED

from . import marabou
from .fairness import gaps
from .real import GRID, PIXEL, RealNetwork
from .setting import Setting

Table = tuple[dict[str, Any], str]
# Of TACAS 2020, Table 1: medians with Boolector and balanced sums, 14 cores; linear sums had a median at 6 bits alone.
PAPER = {6: "18 min", 7: "1 h 29 min", 8: "3 h 41 min", 9: "5 h 34 min", 10: "8 h 58 min"}
# Ends of the histogram's classes, in seconds.
CLASSES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
MARABOU_SECONDS = 30
TIES, TRUNCATIONS = ("kept", "argmax"), ("floor", "toward_zero")


def key_of(network: Network, task: Task, backend: str) -> str:
    return f"{network.sha256[:16]} {backend} {task.ties} {task.sample} {task.eps}"


def exact(setting: Setting, network: Network, name: str = "exact") -> list[dict[str, Any]]:
    """What `verify` says of each sample, by itself: a record of runs with sample and eps."""
    found = []
    with setting.runs(name) as runs:
        for task in setting.tasks(network):
            key = key_of(network, task, "verify")
            entry = runs.get(key, setting.timeout)
            if entry is None:
                verdict = task.settled
                if verdict is None:
                    verdict = qbitsat.verify(query_of(task, network), timeout=setting.timeout)
                seconds = {"seconds": round(verdict.seconds, 4), "cpu": round(verdict.cpu_seconds, 4), "timeout": setting.timeout}
                entry = runs.add(key, verdict=verdict.verdict, engine=verdict.engine, reason=verdict.reason, **seconds)
            found.append({**entry, "sample": task.sample, "eps": task.eps})
    return found


def asked(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what the network misses as it is."""
    return [entry for entry in entries if entry["verdict"] != MISCLASSIFIED]


def figures(entries: list[dict[str, Any]], timeout: float) -> dict[str, Any]:
    """Counts and times; what is open counts with the limit in the median."""
    count = {word: sum(entry["verdict"] == word for entry in entries) for word in (HOLDS, VIOLATED)}
    decided = [entry["seconds"] for entry in entries if entry["verdict"] in count]
    still = [entry["sample"] for entry in entries if entry["verdict"] not in count]
    median = statistics.median(decided + [timeout] * len(still)) if entries else None
    longest = max(decided, default=None)
    return {
        "asked": len(entries),
        "holds": count[HOLDS],
        "violated": count[VIOLATED],
        "open": still,
        "median": median,
        "longest": longest,
        "timeout": timeout,
    }


def by_verify(entries: list[dict[str, Any]], timeout: float) -> dict[str, Any]:
    """The same with CPU seconds, which do not depend on what else the machine does: their median, their maximum, and all of them."""
    cpu = [entry["cpu"] for entry in entries] or [0.0]
    return {**figures(entries, timeout), "median_cpu": statistics.median(cpu), "longest_cpu": max(cpu), "cpu": round(sum(cpu), 1)}


def rows(head: Iterable[Any], lines: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    head = list(head)
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, ["---"] * len(head), *lines))


def seconds_of(figure: dict[str, Any]) -> str:
    """The median, and how many are decided where not all are."""
    if not figure["asked"]:
        return "-"
    decided = figure["holds"] + figure["violated"]
    is_open = figure["median"] >= figure["timeout"]
    median = f"> {figure['timeout']:g} s" if is_open else f"{figure['median']:.2g} s"
    return median if decided == figure["asked"] else f"{median} ({decided} of {figure['asked']})"


# --- Table 1 ---


def table1(setting: Setting) -> Table:
    """Median times."""
    found: dict[str, Any] = {}
    backends = parse_backends(setting.backends) if setting.smt_samples else []
    for bits in setting.bits:
        network = setting.network(bits)
        mine = asked(exact(setting, network))
        found[str(bits)] = {"verify": by_verify(mine, setting.timeout)}
        for backend in backends:
            found[str(bits)][str(backend)] = figures(by_backend(setting, network, backend), setting.smt_timeout)
    names = ["verify", *map(str, backends)]
    lines = [[bits, PAPER.get(bits, "-"), *(seconds_of(found[str(bits)][name]) for name in names)] for bits in setting.bits]
    return found, rows(["bits", "the paper", *names], lines) + "\n" + longest(found)


def longest(found: dict[str, Any]) -> str:
    """What the table has no room for, of `verify`."""
    lines = []
    for bits, figure in ((bits, row["verify"]) for bits, row in found.items()):
        still = f"open: {', '.join(map(str, figure['open']))}" if figure["open"] else "none open"
        counts = f"{figure['holds']} hold, {figure['violated']} violated, {still}"
        cpu = f"CPU: median {figure['median_cpu']:.2g} s, longest {figure['longest_cpu']:.2g} s, {figure['cpu']:.0f} s in all"
        lines.append(f"{bits} bits: {counts}; longest decided {figure['longest'] or 0:.2g} s; {cpu}")
    return "\n".join(lines)


def by_backend(setting: Setting, network: Network, backend: Backend) -> list[dict[str, Any]]:
    """What a backend says of some samples, with the whole formula: bounds decide nothing beforehand."""
    verifier = Verifier(network, {"timeout": setting.smt_timeout, "memory": 4.0, "bounds": False})
    found = []
    with setting.runs("backends") as runs:
        for task in setting.tasks(network, setting.smt_samples):
            if task.settled is not None:
                continue
            key = key_of(network, task, str(backend))
            entry = runs.get(key, setting.smt_timeout)
            if entry is None:
                (run,) = compare(verifier, [task], [backend])
                seconds = {"seconds": round(run.seconds, 4), "timeout": setting.smt_timeout}
                entry = runs.add(key, verdict=run.verdict, reason=run.reason, **seconds)
            found.append({**entry, "sample": task.sample})
    return found


def convolution(setting: Setting) -> Table:
    """The same of the convolutional network, by `verify` alone."""
    found = {}
    for bits in setting.bits:
        entries = asked(exact(setting, setting.convolution(bits), "convolution"))
        found[str(bits)] = {"verify": by_verify(entries, setting.timeout)}
    paper = {6: "3 h 39 min"}
    lines = [[bits, paper.get(bits, "timed out"), seconds_of(found[str(bits)]["verify"])] for bits in setting.bits]
    return found, rows(["bits", "the paper", "verify"], lines) + "\n" + longest(found)


# --- Table 2 ---


def real_verdicts(setting: Setting) -> dict[int, dict[str, Any]]:
    """What is true of the real-valued network, by sample, with the nearest pixels of a witness; MISCLASSIFIED as it is."""
    network, (x, labels), found = RealNetwork(setting.model), setting.images, {}
    about = network.bracket.sha256[:16]
    with setting.runs("real") as runs:
        for sample, eps in setting.chosen:
            entry = runs.get(f"{about} {sample} {eps}", setting.timeout)
            if entry is None:
                label = int(labels[sample])
                verdict, witness = MISCLASSIFIED, None
                if not network.loses(x[sample], PIXEL, label):
                    verdict, witness = network.verdict(x[sample], eps, label, timeout=setting.timeout)
                half = 1 << (GRID - PIXEL - 1)
                near = None if witness is None else [int(v) for v in (witness + half) >> (GRID - PIXEL)]
                entry = runs.add(f"{about} {sample} {eps}", verdict=verdict, witness=near, timeout=setting.timeout)
            found[sample] = entry
    return found


def table2(setting: Setting) -> Table:
    """What carries over from the real-valued network to each quantized one."""
    real, found, lines = real_verdicts(setting), {}, []
    for bits in setting.bits:
        network = setting.network(bits)
        figure = dict.fromkeys(("both_robust", "only_real_robust", "only_quantized_robust", "both_vulnerable", "invalid_attacks"), 0)
        figure["compared"] = 0
        for entry, task in zip(exact(setting, network), setting.tasks(network), strict=True):
            pair = (real[task.sample]["verdict"], entry["verdict"])
            if not set(pair) <= {HOLDS, VIOLATED}:
                continue
            figure["compared"] += 1
            figure[
                {
                    (HOLDS, HOLDS): "both_robust",
                    (HOLDS, VIOLATED): "only_real_robust",
                    (VIOLATED, HOLDS): "only_quantized_robust",
                    (VIOLATED, VIOLATED): "both_vulnerable",
                }[pair]
            ] += 1
            if pair[0] == VIOLATED:
                figure["invalid_attacks"] += not breaks(network, task, real[task.sample]["witness"])
        found[str(bits)] = figure
        vulnerable = figure["only_quantized_robust"] + figure["both_vulnerable"]
        lines.append(
            [
                bits,
                figure["compared"],
                figure["only_real_robust"],
                figure["only_quantized_robust"],
                f"{figure['invalid_attacks']} of {vulnerable}",
            ]
        )
    head = ("bits", "compared", "(i) robust in reals, attacked", "(ii) attacked in reals, robust", "(iii) real attacks that are none")
    counts = {word: sum(entry["verdict"] == word for entry in real.values()) for word in (HOLDS, VIOLATED, MISCLASSIFIED)}
    rest = len(real) - sum(counts.values())
    text = f"real-valued: {counts[HOLDS]} hold, {counts[VIOLATED]} violated, {counts[MISCLASSIFIED]} misclassified, {rest} open"
    return {"real": counts, "widths": found, "marabou": against_marabou(setting, real)}, rows(head, lines) + "\n" + text


def breaks(network: Network, task: Task, witness: list[int]) -> bool:
    """Whether an input has another class than the task's label."""
    return qbitsat.properties.replay(query_of(task, network), (tuple(witness),)) is not None


def against_marabou(setting: Setting, real: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    """On some samples, with where the two disagree; None where Marabou is not installed."""
    if not marabou.INSTALLED or not setting.marabou_samples:
        return None
    network, (x, labels), agree, differ, still = RealNetwork(setting.model), setting.images, 0, [], 0
    eps = dict(setting.chosen)
    # Attacked samples are few, so they come first, and are half of them.
    order = sorted(real, key=lambda sample: (real[sample]["verdict"] != VIOLATED, sample))
    attacked = [sample for sample in order if real[sample]["verdict"] == VIOLATED][: setting.marabou_samples // 2]
    robust = [sample for sample in order if real[sample]["verdict"] == HOLDS][: setting.marabou_samples - len(attacked)]
    with setting.runs("marabou") as runs:
        for sample in (*attacked, *robust):
            key = f"{network.bracket.sha256[:16]} {sample} {eps[sample]}"
            entry = runs.get(key, MARABOU_SECONDS)
            if entry is None:
                verdict = marabou.verdict(network, x[sample], eps[sample], int(labels[sample]), MARABOU_SECONDS)
                entry = runs.add(key, verdict=verdict, timeout=MARABOU_SECONDS)
            agree += entry["verdict"] == real[sample]["verdict"]
            still += entry["verdict"] == UNKNOWN
            differ += [sample] if {entry["verdict"], real[sample]["verdict"]} == {HOLDS, VIOLATED} else []
    return {"agree": agree, "differ": differ, "open": still}


# --- Table 3 ---


def table3(setting: Setting) -> Table:
    """Accuracy, and robust accuracy as IFGSM, as our attack and as proofs have it: all by the setting's rule for ties."""
    from .ifgsm import attacked

    found, lines = {}, []
    x, labels = setting.images
    for bits in setting.bits:
        network, entries = setting.network(bits), exact(setting, setting.network(bits))
        samples, eps = (np.array([entry[name] for entry in entries]) for name in ("sample", "eps"))
        broken = attacked(setting.model, setting.format(bits), network, x[samples], labels[samples], eps, setting.ties)
        holds, violated = (np.array([entry["verdict"] == word for entry in entries]) for word in (HOLDS, VIOLATED))
        if (broken & holds).any():
            raise RuntimeError(f"{bits} bits: IFGSM breaks what holds: samples {samples[broken & holds].tolist()}")
        right = np.array([entry["verdict"] != MISCLASSIFIED for entry in entries])
        own = np.array([entry["verdict"] == VIOLATED and entry["engine"] in ("attack", "bounds") for entry in entries])
        figure = {
            "accuracy_of_1000": float((classify(network, x) == labels).mean()),
            "samples": len(entries),
            "accuracy": float(right.mean()),
            "robust_lower": float(holds.mean()),
            "robust_upper": float((right & ~violated).mean()),
            "robust_by_ifgsm": float((right & ~broken).mean()),
            "robust_by_attack": float((right & ~own).mean()),
            "violated": int(violated.sum()),
            "found_by_ifgsm": int((broken & violated).sum()),
            "found_by_attack": int(own.sum()),
        }
        found[str(bits)] = figure
        lower, upper = figure["robust_lower"], figure["robust_upper"]
        robust = f"{lower:.3f}" if lower == upper else f"{lower:.3f} to {upper:.3f}"
        missed = [f"{figure[name]} of {figure['violated']}" for name in ("found_by_ifgsm", "found_by_attack")]
        cells = (f"{figure['robust_by_ifgsm']:.3f}", f"{figure['robust_by_attack']:.3f}", *missed)
        lines.append([bits, f"{figure['accuracy_of_1000']:.3f}", f"{figure['accuracy']:.3f}", robust, *cells])
    head = (
        "bits",
        "accuracy by argmax, 1,000 images",
        "accuracy",
        "robust, proved",
        "robust by IFGSM",
        "robust by our attack",
        "IFGSM finds",
        "our attack finds",
    )
    return found, rows(head, lines)


# --- Table 4 ---


def table4(setting: Setting) -> Table:
    """How far a protected feature moves a score, in points of 100; what takes how long is of the first group, the paper's."""
    found = gaps(setting)
    names, lines = list(next(iter(found.values()))["gaps"]), []
    for bits, row in found.items():
        step, entries = row["points_of_a_step"], [row["gaps"][name] for name in names]
        ends = [(entry["value"] or 0, entry["upper"]) for entry in entries]
        points = [f"{a * step:g}" if a == b else f"{a * step:g} to {b * step:g}" if b is not None else "-" for a, b in ends]
        first = entries[0]
        lines.append(
            [bits, f"{step:g}", f"{row['error']:.1f}", ends[0][0], *points, f"{first['cpu']:.1f}", f"{max(e['cpu'] for e in entries):.1f}"]
        )
    head = ("bits", "points of a step", "mean error", f"{names[0]}: steps", *names, f"CPU s, {names[0]}", "CPU s, longest")
    return found, rows(head, lines)


# --- figures ---


def fig2(setting: Setting) -> Table:
    """How often more bits are worse: samples that hold at some width and are violated at a larger one."""
    words = {bits: {entry["sample"]: entry["verdict"] for entry in exact(setting, setting.network(bits))} for bits in setting.bits}
    worse, between = [], []
    for sample, _ in setting.chosen:
        row = [words[bits][sample] for bits in setting.bits]
        if any(word == VIOLATED and HOLDS in row[:k] for k, word in enumerate(row)):
            worse.append(sample)
        if any(word == HOLDS and VIOLATED in row[:k] and VIOLATED in row[k:] for k, word in enumerate(row)) or any(
            word == VIOLATED and HOLDS in row[:k] and HOLDS in row[k:] for k, word in enumerate(row)
        ):
            between.append(sample)
    missed = [
        sample for sample, _ in setting.chosen
        if any(words[b][sample] == HOLDS and words[c][sample] == MISCLASSIFIED for b in setting.bits for c in setting.bits if b < c)
    ]  # fmt: skip
    found = {"samples": len(setting.chosen), "robust_then_attacked": worse, "back_and_forth": between, "robust_then_misclassified": missed}
    text = (
        f"of {len(setting.chosen)} samples {len(worse)} hold at some width and are violated at a larger one: {worse}; {len(between)} change"
    )
    return found, f"{text} back: {between}; {len(missed)} hold at some width and are misclassified at a larger one: {missed}"


def fig4(setting: Setting) -> Table:
    """A histogram of the times of `verify`, by width."""
    found, lines = {}, []
    for bits in setting.bits:
        entries = asked(exact(setting, setting.network(bits)))
        times = [entry["seconds"] for entry in entries if entry["verdict"] in (HOLDS, VIOLATED)]
        counts = np.bincount(np.searchsorted(CLASSES, times, side="right"), minlength=len(CLASSES) + 1).tolist()
        found[str(bits)] = {"classes": CLASSES, "counts": counts, "open": len(entries) - len(times)}
        lines.append([bits, *counts, len(entries) - len(times)])
    head = ("bits", *(f"< {end:g} s" for end in CLASSES), "more", "open")
    bars = [f"{bits:>4} bits  " + "".join(" .:-=+*#%@"[min(9, -(-9 * n // max(row)))] for n in row) for bits, *row, _ in lines]
    return found, rows(head, lines) + "\n" + "\n".join(bars)


def variants(setting: Setting) -> Table:
    """What the rule for ties and the truncation change: counts for all four."""
    found, lines = {}, []
    for bits in setting.bits:
        for ties in TIES:
            for truncation in TRUNCATIONS:
                other = replace(setting, ties=ties, truncation=truncation)
                network = other.network(bits)
                entries = exact(other, network)
                figure = figures(asked(entries), setting.timeout)
                figure |= {"samples": len(entries), "accuracy": float((classify(network, setting.images[0]) == setting.images[1]).mean())}
                found[f"{bits} {other.name}"] = figure
                counts = (figure["holds"], figure["violated"], len(figure["open"]), len(entries) - figure["asked"])
                lines.append([bits, ties, truncation, f"{figure['accuracy']:.3f}", *counts, f"{figure['median']:.2g}"])
    head = ("bits", "ties", "truncation", "accuracy by argmax", "hold", "violated", "open", "misclassified", "median s")
    return found, rows(head, lines)


TABLES = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "fig2": fig2,
    "fig4": fig4,
    "variants": variants,
    "convolution": convolution,
}
