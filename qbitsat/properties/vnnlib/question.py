"""A specification about networks as a query: the assertions are its violation, so that a witness satisfies them and HOLDS is "unsat"."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ...importers.onnx_file.borders import Border
from ...limits import NO_LIMITS, Limits
from ...network import Network
from ...network.names import escape_path
from ..formula import FALSE, INPUT, OUTPUT, Ref, is_true
from ..query import Box, Query, Witness
from .binding import Bound
from .cells import float_of, ordinal_of, value_of
from .disjuncts import Disjunct, disjuncts
from .joining import joined
from .meaning import Meaning, meaning_of
from .records import Assertion, Comparison, Element, Variable, comparisons
from .regions import Input, Inputs

Value = int | float
Assignment = list[tuple[Variable, list[Value]]]


class Question:
    """What a file asks of the networks that are bound to it.

    empty says that the inputs that the file allows are none at all; then the query asks for nothing, of all inputs.
    """

    def __init__(self, bound: Bound, limits: Limits = NO_LIMITS):
        self.bound = bound
        self.inputs = Inputs(bound)
        self.rest = self.inputs.settle(bound.spec.assertions)
        self.network, self.places = self.join()
        self.query = self.build(limits)

    # --- the query ---

    def join(self) -> tuple[Network, dict[int, int]]:
        """The network of all, and the input of it that each class is."""
        firsts = self.inputs.firsts
        same = [self.inputs.classes[a:b] for a, b in pairwise(firsts)]
        network, mine = joined(self.networks, same)
        return network, {c: int(i) for classes, part in zip(same, mine, strict=True) for c, i in zip(classes.tolist(), part, strict=True)}

    @cached_property
    def first_outputs(self) -> list[int]:
        """The number of each network's first output among those of all."""
        return np.cumsum([0, *(len(model.network.outputs) for model in self.bound.models)]).tolist()

    def build(self, limits: Limits) -> Query:
        found = self.inputs.found
        allowed = all(one.first <= one.last for one in found.values())
        self.disjuncts = disjuncts(self, self.rest, limits) if allowed else []
        if self.empty:
            return Query((self.network,), (Box(*(ends[: self.network.num_inputs] for ends in self.network.value_ranges)),), FALSE)
        lo, hi = (np.zeros(self.network.num_inputs, np.int64) for _ in range(2))
        for root, one in found.items():
            lo[self.places[root]], hi[self.places[root]] = one.integer(one.first), one.integer(one.last)
        return Query((self.network,), (Box(lo, hi),), Disjunct.formula_of(self.disjuncts), limits=limits)

    @property
    def empty(self) -> bool:
        return not self.disjuncts

    def reference(self, element: Element) -> tuple[Ref, Meaning]:
        """The element of the query that one of the file is, and what its integers mean."""
        found = self.inputs.of(element)
        if found is not None:
            return Ref(0, INPUT, self.places[found[0]]), found[1].meaning
        border, index = self.output(element)
        return Ref(0, OUTPUT, index), meaning_of(border)

    def output(self, element: Element) -> tuple[Border, int]:
        """The border that an output is of, and its number among all outputs."""
        variable, index = element
        tensor = next(t for t in reversed(self.bound.tensors[variable]) if t.start <= index)
        return tensor.border, self.first_outputs[tensor.network] + tensor.border.first + index - tensor.start

    @property
    def record(self) -> dict[str, Any]:
        """What it was made from, as JSON values: files, by the names of networks that equal no other, and hashes of their bytes."""
        bound, source = self.bound, self.bound.spec.source
        each = zip(bound.spec.networks, bound.paths, bound.models, strict=True)
        files = {one.name: {"path": escape_path(path), "sha256": model.sha256} for one, path, model in each if not one.equal_to}
        about = {"file": escape_path(source.path), "sha256": source.sha256, "files": files}
        return {"kind": "vnnlib", **about, "runtime": bound.runtime, "grid": bound.grid}

    @property
    def networks(self) -> tuple[Network, ...]:
        """Those that the file declares, in its order."""
        return tuple(model.network for model in self.bound.models)

    @property
    def hashes(self) -> dict[str, str]:
        """Those of the networks' functions, by name."""
        return {one.name: network.sha256 for one, network in zip(self.bound.spec.networks, self.networks, strict=True)}

    @property
    def notes(self) -> tuple[str, ...]:
        """What may not be meant, in words."""
        spec, found = self.bound.spec, []
        for part in spec.assertions:
            wide = next((x for x in comparisons(part) if x.leaves), None)
            if wide is not None:
                place = f"{spec.source.path}:{wide.at.line}:{wide.at.column}"
                found.append(f"{place}: sums of integers are the whole numbers that they are, and do not wrap around in their type")
                break
        if self.bound.grid is not None:
            found.append(f"{spec.source.path}: inputs are k / {self.bound.grid} alone; unsat says nothing of those between them")
        if self.empty:
            found.append("no input is allowed by the query, whatever the network computes")
        return tuple(found)

    # --- the answer ---

    def assignment(self, witness: Witness) -> Assignment:
        """The numbers of all variables; it is checked that they satisfy the file, in rational arithmetic."""
        disjunct = next(disjunct for disjunct in self.disjuncts if is_true(disjunct.formula, witness.inputs, witness.outputs))
        chosen = {root: self.choose(root, one, disjunct, witness) for root, one in self.inputs.found.items()}
        found: Assignment = []
        for number, (_, variable) in enumerate(self.bound.spec.variables):
            values: list[Value] = []
            for index in range(variable.size):
                mine = self.inputs.number((number, index))
                if mine is not None:
                    values.append(chosen[int(self.inputs.classes[mine])])
                    continue
                border, place = self.output((number, index))
                value = meaning_of(border).value(witness.outputs[0][place])
                values.append(float(value) if border.dtype.startswith("float") else int(value))
            found.append((variable, values))
        if not all(satisfied(assertion, found) for assertion in self.bound.spec.assertions):
            raise AssertionError(f"{self.bound.spec.source.path}: an assignment that does not satisfy it")
        return found

    def choose(self, root: int, one: Input, disjunct: Disjunct, witness: Witness) -> Value:
        """A number from outside that becomes the witness's integer: of floats the one nearest to what the integer stands for."""
        q = witness.inputs[0][self.places[root]]
        if one.cells is None:
            value = one.meaning.value(q)
            return float(value) if one.border.dtype.startswith("float") else int(value)
        first, last = one.cells.cell(q)
        lo, hi = disjunct.ends.get(root, (one.first, one.last))
        ordinal = min(max(ordinal_of(one.meaning.value(q)), first, lo), last, hi)
        if int(one.border.quantize(float_of(np.array([ordinal])))[0]) != q or not lo <= ordinal <= hi:
            raise AssertionError(f"the float of ordinal {ordinal} does not become {q}")
        return float(value_of(ordinal))


def satisfied(assertion: Assertion, found: Assignment) -> bool:
    """Whether exact numbers satisfy an assertion."""
    if not isinstance(assertion, Comparison):
        parts = (satisfied(part, found) for part in assertion.parts)
        return all(parts) if assertion.is_and else any(parts)
    total = assertion.constant
    for (variable, index), c in assertion.terms:
        total += c * Fraction(found[variable][1][index])
    return {"<=": total <= 0, "<": total < 0, "==": total == 0, "!=": total != 0}[assertion.op]
