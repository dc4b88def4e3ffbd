"""Falsifiers: they propose inputs, exact replay decides."""

from .gradient import Attack, propose

__all__ = ["Attack", "propose"]
