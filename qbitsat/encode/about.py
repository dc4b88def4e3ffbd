"""What an exported file says of itself, in comments of its own format."""

from __future__ import annotations

from .. import __version__
from ..options import Options
from ..properties import Query


def about(query: Query, options: Options) -> list[str]:
    """Lines that name the program, the networks, the question, and how it was written down; the same for the same query and options."""
    networks = [f"network {k}: {network.name}, sha256 {network.sha256}" for k, network in enumerate(query.networks)]
    bounds = "simplified by interval bounds" if options.bounds else "not simplified"
    question = query.origin or "a formula over inputs and outputs"
    return [f"qbitsat {__version__}", *networks, f"question: {question}", f"encoding {options.encoding}, {bounds}"]
