"""Widths of accumulators and ranges of outputs, as lines and as objects of results.jsonl."""

from __future__ import annotations

from typing import Any

from ..network import Network
from ..network.names import printable
from ..reach import LayerWidth, OutputRange

# Elements of an input that are printed; results.jsonl has all.
SHOWN = 16


def width_line(found: LayerWidth, bits: int, widest: int = 0) -> str:
    """One layer: what its accumulators reach, how many bits that takes, and what interval bounds would ask for; widest: of the names."""
    need = f"{found.enough} bits" if found.decided else f"{found.needed} to {found.enough} bits ({found.reason})"
    saved = f", intervals say {found.enough + found.saved}" if found.saved else ""
    partial = "beyond 62" if found.partial is None else str(found.partial)
    ends = span(found.bounds) if found.exact else f"{span(found.reached)} reached, {span(found.bounds)} proved"
    state = "leaves" if found.needed > bits else "open" if found.enough > bits else "fits"
    return f"layer {found.layer} {printable(found.name):<{widest}}  {state:<6}  {need}{saved}  {ends}  any order {partial} bits"


def width_details(found: LayerWidth) -> list[str]:
    """More of it: where the farthest accumulator is, and what outputs do."""
    i, side = found.end
    word, more = "largest" if side > 0 else "smallest", f" and {len(found.inputs) - SHOWN} more" if len(found.inputs) > SHOWN else ""
    return [
        f"    accumulator {i} of {found.accumulators} is {found.value}, the {word} found, at input {list(found.inputs[:SHOWN])}{more}",
        f"    outputs: {found.constant} never change, at most {found.at_ends} reach an end of their format",
    ]


def width_record(found: LayerWidth, bits: int) -> dict[str, Any]:
    """A line of results.jsonl."""
    fields = {name: getattr(found, name) for name in LayerWidth.__dataclass_fields__ if name not in ("certificates", "parts")}
    return {
        "kind": "overflow",
        "width": bits,
        **fields,
        "decided": found.decided,
        "exact": found.exact,
        "interval_width": found.enough + found.saved,
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
