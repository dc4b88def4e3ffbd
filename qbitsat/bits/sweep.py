"""The same samples at every width: quantize, verify, and try what broke one width at all others."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..campaign import CERTIFICATES, Store, Task, plan, record, verdicts
from ..certificate.write import Source
from ..errors import ArgumentError, InputError, expect_kind
from ..importers import save
from ..importers.files import replacing
from ..network import Network, TensorFormat, classify
from ..network.float_network import FloatNetwork
from ..network.inference import check_inputs
from ..options import make_options
from ..properties.robustness import ARGMAX, rule_of
from ..quantize import FixedPoint, doubtful_units, integers_of, quantize_with_report
from ..quantize.losses import float_classes
from ..quantize.prepare import prepared
from ..quantize.quantizing import samples_of
from ..verify import UNKNOWN, VIOLATED, Verdict
from .fairness import Fairness, WidthGap
from .result import Bits, WidthResult, answer, counted
from .sharing import SharingVerifier
from .widths import Width, widths_of

SUMMARY, NETWORK = "bits.json", "network.npz"
UNDONE = Verdict(UNKNOWN, "not asked")
Told = Callable[[WidthResult], object]
Noted = Callable[[str], object]


@dataclass
class Entry:
    """A width under way; verdicts are by the index of their task, and those that are missing count as open."""

    width: Width
    network: Network
    tasks: list[Task]
    accuracy: float | None
    clipped: int
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    seconds: float = 0.0
    gap: WidthGap | None = None

    @property
    def result(self) -> WidthResult:
        verdicts = [self.verdicts.get(task.index, UNDONE) for task in self.tasks]
        return counted(self.width, self.network.sha256, self.accuracy, self.clipped, verdicts, self.seconds, self.gap)


def bits(
    model: FloatNetwork,
    inputs: Any,
    labels: Any,
    eps: int,
    *,
    target: float = 0.9,
    ties: str = ARGMAX,
    widths: Iterable[int] = range(4, 11),
    fractions: Iterable[int] | None = None,
    format: str = "paper:B",
    samples: Sequence[int] | None = None,
    protected: Sequence[int] | None = None,
    groups: Sequence[Sequence[int]] = (),
    domain: Any = None,
    calibration: Any = None,
    method: str | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    told: Told | None = None,
    noted: Noted | None = None,
    **options: Any,
) -> Bits:
    """How many bits does it take until `target` of the samples are robust: classified as their label, which no change of an input element
    by up to eps of its integer steps can alter?

    inputs [n, *shape] are integers as the quantized network takes them, or floats in the model's own units; labels int[n], or None for
    each network's own classes. format has B where the bits stand and may have F: "paper:B" (F is B - 4), "paper:B,F" with `fractions`,
    "benchmark:B", "power-of-two:B,input=u8.8". calibration and method are those of `quantize`; without calibration data the inputs are.
    samples are indices of those to verify, all by default; accuracies are on all inputs. out is a folder: bits.json, and for each width
    the network, results.jsonl and with the option `certificates` certificates; resume goes on with what is there. With protected features
    each width also gets its fairness gap, of all outputs: protected and groups are those of `properties.gap`,
    domain is two rows as inputs have them, the smallest and the largest value of each feature, all by default. ties is the rule of
    `robustness`; accuracies are always by argmax. told is called with the result of each width when it is finished, and noted with what
    may be meant in another way, such as biases that do not fit, once each. Options are those of `verify`; jobs are queries at a time.
    """
    check_target(target)
    sweep = Sweep(model, inputs, labels, eps, samples, calibration, method, out, resume, overwrite, options, ties)
    sweep.noted = noted or sweep.noted
    if protected is not None:
        rows = None if domain is None else np.asarray(domain)
        sweep.fairness = Fairness(tuple(protected), tuple(tuple(group) for group in groups), rows)
    elif domain is not None or len(groups):
        raise InputError("bits: groups and a domain are of protected features, expected some")
    return sweep.run(widths_of(format, widths, fractions), target, told or (lambda result: None))


class Sweep:
    """What all widths share: the model, the samples, the options, and what has broken the property so far."""

    def __init__(
        self, model, inputs, labels, eps, samples, calibration, method, out, resume, overwrite, options: dict[str, Any], ties: str = ARGMAX
    ):
        expect_kind(model, FloatNetwork, "bits: model", "a FloatNetwork, as of load_float(path)")
        self.model, self.inputs = model, np.asarray(inputs)
        if not self.inputs.ndim or not len(self.inputs) or self.inputs.dtype.kind not in "iuf":
            raise ArgumentError("inputs", f"{self.inputs.dtype} of shape {self.inputs.shape}, expected samples of numbers")
        samples_of(model, self.inputs, "inputs")
        self.labels = None if labels is None else np.asarray(labels)
        if self.labels is not None and (self.labels.shape != self.inputs.shape[:1] or self.labels.dtype.kind not in "iu"):
            shape = f"{self.labels.dtype} of shape {self.labels.shape}"
            raise ArgumentError("labels", f"{shape}, expected ({len(self.inputs)},) of integers, one for each sample")
        self.eps, self.calibration, self.method, self.ties = eps, calibration, method, rule_of(ties)
        self.samples = list(range(len(self.inputs))) if samples is None else [int(k) for k in samples]
        if not 0 < len(self.samples) == len(set(self.samples)) or not all(0 <= k < len(self.inputs) for k in self.samples):
            raise ArgumentError("samples", f"{self.samples[:5]}, expected indices of {len(self.inputs)} inputs, each once")
        self.out = None if out is None else Path(out)
        self.resume, self.overwrite = resume, overwrite
        if self.out is not None and (self.out / SUMMARY).exists() and not (resume or overwrite):
            raise InputError(f"{self.out / SUMMARY}: exists already; expected a folder without results, --resume or --overwrite")
        self.options = {**options, "jobs": options.get("jobs", 1)}
        make_options(**self.options)
        if self.options.get("certificates") and self.out is None:
            raise ArgumentError("certificates", "they need a folder, out")
        # Whether to find out what an attack alone would say where a known witness breaks a sample.
        self.attacks = True
        # What is told of doubts, and which that were.
        self.noted: Noted = lambda doubt: None
        self.doubts: set[str] = set()
        # Which features are protected, if that is asked.
        self.fairness: Fairness | None = None
        # Inputs that broke the property, by the format of the input and the sample.
        self.witnesses: dict[TensorFormat, dict[int, np.ndarray]] = {}

    def run(self, widths: list[Width], target: float, told: Told) -> Bits:
        start = time.monotonic()
        self.check_steps(widths)
        found = []
        for width in widths:
            found.append(self.prepared(width))
            if self.fairness is not None:
                self.fairness.asked(found[-1].network, 0)  # what doesn't fit is said before hours of work
            self.verify(found[-1])
            self.find_gap(found[-1])
            told(found[-1].result)
        for entry in found:
            self.verify_again(entry)
        results = tuple(entry.result for entry in found)
        made = Bits(
            answer(results, target),
            results,
            self.float_accuracy(widths[0]),
            self.eps,
            self.ties,
            tuple(self.samples),
            time.monotonic() - start,
        )
        self.summarize(made.as_json())
        return made

    def check_steps(self, widths: list[Width]) -> None:
        """Integers are the same numbers at all widths."""
        steps = {form.input.step: w for w in widths if isinstance(form := w.format, FixedPoint) and form.input.fraction is not None}
        if len(steps) > 1 and self.inputs.dtype.kind != "f":
            said = " and ".join(f"{step:g} at {width.bits} bits" for step, width in list(steps.items())[:2])
            raise ArgumentError("format", f"a step of the input is {said}; expected one for all widths, as with input=u8.8")

    def summarize(self, made: dict[str, Any]) -> None:
        """Write the answer into the folder, if there is one."""
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            with replacing(self.out / SUMMARY, sync=False) as stream:
                stream.write(json.dumps(made, indent=1).encode() + b"\n")

    def prepared(self, width: Width) -> Entry:
        """The network of a width, its accuracy, and its tasks."""
        calibration = self.real(width) if self.calibration is None else self.calibration
        made = quantize_with_report(self.model, width.format, calibration, method=self.method, lossy=True)
        self.note(made.report.doubts)
        self.note(self.unit_doubts(made.network.input))
        network, losses = made.network, [layer.loss for layer in made.report.layers if layer.loss]
        flat = self.inputs.reshape(len(self.inputs), -1)
        inputs = integers_of(network, flat) if flat.dtype.kind == "f" else flat
        check_inputs(network, inputs)
        inputs = inputs.astype(np.int64)
        accuracy = None if self.labels is None else float((classify(network, inputs) == self.labels).mean())
        tasks = plan(network, inputs, self.labels, self.samples, [self.eps], ties=self.ties)
        return Entry(width, network, tasks, accuracy, sum(loss.weights_clipped + loss.biases_clipped for loss in losses))

    def note(self, doubts: Iterable[str]) -> None:
        """Tell doubts, each once."""
        for doubt in doubts:
            if doubt not in self.doubts:
                self.doubts.add(doubt)
                self.noted(doubt)

    def unit_doubts(self, form: TensorFormat) -> Iterator[str]:
        """What to say of the units of inputs and calibration data."""
        given = [("inputs", self.inputs, self.inputs.dtype.kind != "f")]
        given += [] if self.calibration is None else [("calibration data", np.asarray(self.calibration), False)]
        for what, samples, are_steps in given:
            if said := doubtful_units(samples, form, samples.dtype.kind == "f", are_steps):
                yield f"{what}: {said}"

    def real(self, width: Width) -> np.ndarray | None:
        """The inputs in the model's units, where that is known before quantizing."""
        if self.inputs.dtype.kind == "f":
            return self.inputs
        fixed = width.format.input if isinstance(width.format, FixedPoint) else None
        return None if fixed is None or fixed.fraction is None else self.inputs * fixed.step

    def float_accuracy(self, width: Width) -> float | None:
        real = self.real(width)
        if self.labels is None or real is None:
            return None
        floats = real.reshape(len(real), *self.model.inputs[0]).astype(np.float64)
        return float((float_classes(prepared(self.model)[0], floats) == self.labels).mean())

    def verify(self, entry: Entry, again: bool = False, enough: Callable[[], bool] = lambda: False) -> None:
        """All tasks of a width that have no verdict yet, until that is enough, and what breaks them; `again` goes on with a folder."""
        start = time.monotonic()
        witnesses = self.witnesses.setdefault(entry.network.input, {})
        folder = None if self.out is None else self.out / entry.width.stem
        certificates = folder / CERTIFICATES if folder and self.options.get("certificates") else None
        source = None if folder is None else Source(str(folder / NETWORK))
        verifier = SharingVerifier(entry.network, self.options, certificates, source, dict(witnesses), self.attacks)
        with ExitStack() as stack:
            store = None
            if folder is not None:
                store = stack.enter_context(Store(folder, self.overwrite and not again, certificates, self.resume or again))
                if self.resume or again:
                    entry.verdicts = store.finished(entry.tasks, verifier) | entry.verdicts
                    # Lines of what is open have been taken out by that.
                    for index in [index for index, verdict in entry.verdicts.items() if verdict.unknown]:
                        store.write(record(entry.tasks[index], entry.verdicts[index], entry.network, self.options))
                # What is there is about this network.
                save(entry.network, folder / NETWORK)
            # Those first that broke at most other widths.
            rest = [] if enough() else [task for task in entry.tasks if task.index not in entry.verdicts]
            rest.sort(key=lambda task: -len(witnesses.get(task.sample, ())))
            with closing(verdicts(verifier, rest, self.options["jobs"])) as found:
                for task, verdict in found:
                    if store is not None:
                        store.write(record(task, verdict, entry.network, self.options))
                    entry.verdicts[task.index] = verdict
                    if enough():
                        break
        for task in entry.tasks:
            verdict = entry.verdicts.get(task.index, UNDONE)
            if verdict.verdict == VIOLATED and verdict.witness is not None:
                row = np.array(verdict.witness.inputs[0], np.int64)[None]
                witnesses[task.sample] = np.concatenate([witnesses[task.sample], row]) if task.sample in witnesses else row
        entry.seconds += time.monotonic() - start

    def find_gap(self, entry: Entry) -> None:
        """The fairness gap of a width, if that is asked."""
        if self.fairness is not None:
            start = time.monotonic()
            source = None if self.out is None else Source(str(self.out / entry.width.stem / NETWORK))
            entry.gap = self.fairness.gaps(entry.network, source, self.options, self.resume, self.overwrite)
            entry.seconds += time.monotonic() - start

    def verify_again(self, entry: Entry) -> None:
        """What stayed open, where another width's witness breaks it."""
        verifier = SharingVerifier(entry.network, self.options, witnesses=self.witnesses[entry.network.input])
        broken = [index for index, verdict in entry.verdicts.items() if verdict.unknown and len(verifier.known(entry.tasks[index]))]
        for index in broken:
            del entry.verdicts[index]
        if broken:
            self.verify(entry, again=True)


def check_target(target: float) -> None:
    if not 0 <= target <= 1:
        raise ArgumentError("target", f"{target!r}, expected a part of the samples, from 0 to 1")
