"""A query with the differences of its paired layers as more layers, made here again from which layers they are.

For layers i and j of one network, or of several that are written as one, over cells x of the one and z of the other, there are in turn

    x_c - z_c                                              for pairs of values that have none yet, where there are any
    e_k = acc_i,k - acc_j,k = b_k - b'_k + sum over cells of  w_kc (x_c - z_c) + (w_kc - w'_kc) z_c
    d_k = y_i,k - y_j,k

where x_c - z_c is 0 for one value, or a difference that stands before. Every difference is what its layer computes, so nothing here has to
be believed: what the ranges of e and d say of the outputs is in `Layout`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..arithmetic import ShiftRequantizer
from ..errors import InputError, UnsupportedError
from ..limits import Limits
from ..network import Layer, Linear, Network, SparseRows, TensorFormat
from ..network.layers import PADDING
from ..properties import Box, Query, Ref
from ..properties.formula import INPUT, OUTPUT, VALUE, renamed
from .formula import Atom, Joint, Plain
from .reading import Refused

Row = dict[int, int]


class Differences:
    """The layers that a network gets.

    links are (a, b, e, d): values with acc_a - acc_b = e and y_a - y_b = d. known says which value a difference is.
    """

    def __init__(self, network: Network, pairs: Iterable[tuple[int, int]], limits: Limits):
        self.network, self.limits = network, limits
        self.links = list[tuple[int, int, int, int]]()
        self.known: dict[tuple[int, int], int] = {}
        self.used = set[int]()
        for i, j in pairs:
            if not (0 <= i < j < len(network.layers) and not self.used & {i, j}):
                raise Refused(f"layers {i} and {j} are paired, expected two of {len(network.layers)} that no other pair has, in order")
            self.used |= {i, j}
            try:
                self._pair(i, j)
            except (InputError, UnsupportedError) as error:
                raise Refused(f"layers {i} and {j} are paired, but their differences are no layers: {error}") from None

    def _pair(self, i: int, j: int) -> None:
        of = self.network
        a, b = of.layers[i], of.layers[j]
        if (a.affine.n_in, a.affine.n_out) != (b.affine.n_in, b.affine.n_out):
            raise Refused(f"layers {i} and {j} are paired, but differ in size")
        cells = list(zip(of.views[i].tolist(), of.views[j].tolist(), strict=True))
        new = sorted({(x, z) for x, z in cells if x != z and PADDING not in (x, z) and (x, z) not in self.known})
        if new:
            self._subtract(new)
        e = self.network.num_values
        # Cells of both terms, a value perhaps in several: of these intervals know nothing, here as in the search.
        values = [self.known.get(pair, pair[1]) for pair in cells] + [z for _, z in cells]
        self._append("accumulators", *self._accumulators(a, b, cells), values)
        first, second = (range(t.start, t.stop) for t in map(of.target, (i, j)))
        d = self.network.num_values
        self._subtract(list(zip(first, second, strict=True)))
        self.links += [(x, z, e + k, d + k) for k, (x, z) in enumerate(zip(first, second, strict=True))]

    def _accumulators(self, a: Layer, b: Layer, cells: list[tuple[int, int]]) -> tuple[list[Row], list[int]]:
        rows, biases = list[Row](), list[int]()
        paddings, count = (a.input.zero_point, b.input.zero_point), len(cells)
        for k in range(a.affine.n_out):
            self.limits.check()
            row, bias = Row(), int(a.affine.biases[k]) - int(b.affine.biases[k])
            one, other = (dict(zip(*(part.tolist() for part in layer.affine.row(k)), strict=True)) for layer in (a, b))
            for c in {**one, **other}:
                (x, z), w, v = cells[c], one.get(c, 0), other.get(c, 0)
                if PADDING in (x, z):
                    if x != z:
                        raise Refused(f"cell {c} of a pair of layers is padding in one of them only")
                    bias += w * paddings[0] - v * paddings[1]
                    continue
                row |= {c: w if x != z else 0, count + c: w - v}
            rows.append({cell: w for cell, w in sorted(row.items()) if w})
            biases.append(bias)
        return rows, biases

    def _subtract(self, pairs: list[tuple[int, int]]) -> None:
        """The differences of values, known from now on."""
        start = self.network.num_values
        self._append("differences", [{x: 1, z: -1} for x, z in pairs], [0] * len(pairs), range(start))
        self.known |= {pair: start + k for k, pair in enumerate(pairs)}

    def _append(self, name: str, rows: list[Row], biases: list[int], values: Sequence[int]) -> None:
        """A layer that gives sums of cells as they are, the values that these are given."""
        of = self.network
        used = sorted({cell for row in rows for cell in row})
        place = {cell: k for k, cell in enumerate(used)}
        added = np.array([values[cell] for cell in used] or [0], np.int32)
        lo, hi = (ends[added] for ends in of.value_ranges)
        least = min(b + sum(w * int((lo if w > 0 else hi)[place[c]]) for c, w in row.items()) for row, b in zip(rows, biases, strict=True))
        most = max(b + sum(w * int((hi if w > 0 else lo)[place[c]]) for c, w in row.items()) for row, b in zip(rows, biases, strict=True))
        form = TensorFormat((len(added),), int(lo.min()), int(hi.max()))
        indices, weights = [[place[c] for row in rows for c in sorted(row)], [row[c] for row in rows for c in sorted(row)]]
        counts = np.cumsum([0, *map(len, rows)])
        table = SparseRows(len(added), counts, np.array(indices, np.int64), np.array(weights, np.int64), np.array(biases, np.int64))
        steps = (ShiftRequantizer(0, "floor", least, most, "saturate", 0),)
        layer = Linear(name, form, TensorFormat((len(rows),), least, most), steps, table)
        self.network = replace(of, layers=(*of.layers, layer), reads=(*of.reads, added), outputs=of.outputs)

    def renamed(self, formula: Plain) -> Plain:
        """The formula with c y_i - c y_j written as c d, the earliest differences first."""
        order: dict[int, list[tuple[int, int]]] = {}
        for (x, z), d in self.known.items():
            order.setdefault(x, []).append((z, d))
        return _renamed(formula, order, self.limits)


def _renamed(formula: Plain, order: dict[int, list[tuple[int, int]]], limits: Limits) -> Plain:
    if isinstance(formula, Joint):
        return Joint(formula.every, tuple(_renamed(part, order, limits) for part in formula.parts))
    limits.check()
    terms = dict(formula.terms)
    found = sorted((d, x, z) for x in formula.terms for z, d in order.get(x, ()) if z in formula.terms)
    for d, x, z in found:
        if terms[x] * terms[z] < 0:
            shared = min(terms[x], -terms[z]) if terms[x] > 0 else max(terms[x], -terms[z])
            terms[x], terms[z], terms[d] = terms[x] - shared, terms[z] + shared, shared
    return Atom({value: c for value, c in terms.items() if c}, formula.bound)


def with_differences(query: Query, pairs: tuple[tuple[int, int], ...], limits: Limits) -> tuple[Query, Differences]:
    """The query about the network with all these layers more. Several networks are one, see `beside`; else the formula is as it was."""
    of = query if len(query.networks) == 1 else beside(query, limits)
    differences = Differences(of.networks[0], pairs, limits)
    return Query((differences.network,), of.boxes, of.violation, limits=limits), differences


def beside(query: Query, limits: Limits) -> Query:
    """The query about one network: the inputs of all networks, then the layers of the first, of the next and so on, and so for outputs."""
    forms, layers, reads, outputs = list[TensorFormat](), list[Layer](), list[np.ndarray](), list[int]()
    refs = dict[Ref, Ref]()
    first, later = 0, sum(network.num_inputs for network in query.networks)
    for k, network in enumerate(query.networks):
        n = network.num_inputs
        place = np.array([first + v if v < n else later + v - n for v in range(network.num_values)], np.int32)
        refs |= {Ref(k, INPUT, v): Ref(0, INPUT, first + v) for v in range(n)}
        refs |= {Ref(k, VALUE, v): Ref(0, VALUE, int(place[v])) for v in range(network.num_values)}
        refs |= {Ref(k, OUTPUT, j): Ref(0, OUTPUT, len(outputs) + j) for j in range(len(network.outputs))}
        forms, layers, reads = [*forms, *network.inputs], [*layers, *network.layers], [*reads, *(place[read] for read in network.reads)]
        outputs += place[network.outputs].tolist()
        first, later = first + n, later + network.num_values - n
    one = Network(tuple(layers), inputs=tuple(forms), reads=tuple(reads), outputs=np.array(outputs))
    lo, hi = (np.concatenate([getattr(box, end) for box in query.boxes]) for end in ("lo", "hi"))
    return Query((one,), (Box(lo, hi),), renamed(query.violation, refs), limits=limits)
