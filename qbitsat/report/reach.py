"""Widths of accumulators and ranges of outputs, as lines and as objects of results.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ..network import Network
from ..network.names import printable
from ..reach import LayerWidth, OutputRange
from ..reach.farthest import Reached
from ..reach.prefixes import Partial

# Elements of an input that are printed; results.jsonl has all.
SHOWN = 16


def width_line(found: LayerWidth, named: bool = False, widest: int = 0) -> str:
    """One layer: what its accumulators reach, and how many bits that takes; named: say what was asked; widest: of the names."""
    parts = [f"{found.state} {found.type}{'' if found.least else ' bits'}" if named or found.least else found.state]
    need = f"{found.enough} bits" if found.decided else f"{found.needed} to {found.enough} bits ({found.reason})"
    parts += [f"{need}, intervals say {found.interval_width}", _ends(found)]
    if found.prefixes is None:
        parts.append(f"any order {'beyond 62' if found.partial is None else found.partial} bits")
    else:
        of = found.prefixes
        bits = f"{of.enough} bits" if of.needed == of.enough else f"{of.needed} to {of.enough} bits ({of.reason})"
        parts.append(f"by index, {of.order.replace('-', ' ')}, {bits} {_ends(of)}")
    if found.least:
        parts.append(f"{found.least} holds them{f'; {found.type} rounds off {found.loses} bits' if found.loses else ''}")
    first, *rest = parts
    return f"layer {found.layer} {printable(found.name):<{widest}}  {first:<6}  {'  '.join(rest)}"


def _ends(found: LayerWidth | Partial) -> str:
    return span(found.bounds) if found.reached == found.bounds else f"{span(found.reached)} reached, {span(found.bounds)} proved"


def width_details(found: LayerWidth) -> list[str]:
    """More of it: where the farthest accumulators are, and what outputs do."""
    farthest = Reached(found.end, found.value, found.inputs)
    lines = [_reached(farthest, found.accumulators, f"the {'largest' if found.end[1] > 0 else 'smallest'} found")]
    if found.beyond not in (None, farthest):
        lines.append(_reached(found.beyond, found.accumulators, f"beyond {found.type}"))
    if found.prefixes is not None:
        (i, count, _), of = found.prefixes.end, found.prefixes
        lines.append(f"accumulator {i} is {of.value} after {count} terms, the farthest found, at input {_input(of.inputs)}")
    if found.each is not None:
        lines.append(f"{found.each.exact} of {found.accumulators} ranges are exact")
    names = ("never change", "are dead", "reach their low end", "reach their high end")
    for name, sure, maybe in zip(names, found.outputs[:4], found.outputs.maybe, strict=True):
        lines.append(f"outputs that {name}: {_list(sure)}{f'; open: {_list(maybe)}' if maybe else ''}")
    return [f"    {line}" for line in lines]


def _reached(found: Reached, count: int, what: str) -> str:
    return f"accumulator {found.end[0]} of {count} is {found.value}, {what}, at input {_input(found.inputs)}"


def _input(inputs: Sequence[int]) -> str:
    return f"{list(inputs[:SHOWN])}{f' and {len(inputs) - SHOWN} more' if len(inputs) > SHOWN else ''}"


def _list(numbers: Sequence[int]) -> str:
    """As `numbered`, the first parts alone, and of how many."""
    parts = numbered(numbers).split(",")
    return f"{len(numbers)} ({','.join(parts[:SHOWN])}{',...' if len(parts) > SHOWN else ''})" if numbers else "none"


def numbered(numbers: Sequence[int]) -> str:
    """Ascending numbers as in 0:4,7, as options take them."""
    if not len(numbers):
        return ""
    runs = np.split(np.asarray(numbers), np.flatnonzero(np.diff(numbers) != 1) + 1)
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1] + 1}" for run in runs)


def width_record(found: LayerWidth) -> dict[str, Any]:
    """A line of results.jsonl."""
    left_out = ("certificates", "parts", "type", "beyond", "outputs", "prefixes", "each")
    fields = {name: getattr(found, name) for name in LayerWidth.__dataclass_fields__ if name not in left_out}
    names = ("constant", "dead", "low", "high")
    sure, maybe = (dict(zip(names, map(numbered, of), strict=True)) for of in (found.outputs[:4], found.outputs.maybe))
    return {
        "kind": "overflow",
        "width": found.type if found.least else int(found.type),
        **fields,
        "beyond": found.beyond and found.beyond._asdict(),
        "outputs": {**sure, "maybe": maybe},
        "prefixes": found.prefixes and asdict(found.prefixes),
        "each": found.each and asdict(found.each),
        "decided": found.decided,
        "exact": found.exact,
        "interval_width": found.interval_width,
    }


def range_line(found: OutputRange, network: Network) -> str:
    """One output: its range, and what interval bounds say."""
    text = f"output {found.output}  {_end(found.least)} to {_end(found.most)}"
    if found.exact:
        form = network.output_forms[found.output]
        lo, hi = (form.scale * (end[1] - form.zero_point) for end in (found.least, found.most))
        text += f"  ({lo:.6g} to {hi:.6g})"
    return f"{text}  intervals say {span(found.interval)}{f'  {found.reason}' if found.reason else ''}"


def range_record(found: OutputRange) -> dict[str, Any]:
    """A line of results.jsonl."""
    fields = {name: getattr(found, name) for name in OutputRange.__dataclass_fields__ if name != "certificates"}
    return {"kind": "range", **fields, "exact": found.exact}


def _end(end: tuple[int | None, int]) -> str:
    reached, proved = end
    return str(proved) if reached == proved else f"[{'?' if reached is None else reached}, {proved}]"


def span(ends: tuple[int, int]) -> str:
    return f"[{ends[0]}, {ends[1]}]"
