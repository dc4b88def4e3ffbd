"""Falsifiers: they propose inputs, exact replay decides."""

from .gradient import propose

__all__ = ["propose"]
