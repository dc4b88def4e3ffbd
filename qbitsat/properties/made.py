"""Networks that are made of another one, so that a question about it is one about values of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..network import Network


@dataclass(frozen=True, eq=False, repr=False)
class Made(Network):
    """of: the network that it was made of; how: a record that says how, from which it can be made again (`balls.Ball`, `gap.Pairs`)."""

    of: Network = None  # type: ignore[assignment]
    how: Any = None


def asked_of(network: Network) -> Network:
    """The network that a question is about: itself, or what it was made of."""
    return network.of if isinstance(network, Made) else network
