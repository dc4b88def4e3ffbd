"""SMT solvers, for comparison only: one module a backend, each loaded in the child process that runs it."""

from .base import BACKENDS, PACKAGES, Answer, require, solve

__all__ = ["BACKENDS", "PACKAGES", "Answer", "require", "solve"]
