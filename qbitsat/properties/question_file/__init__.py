"""Questions as TOML files: read, and written."""

from .question import NetworkFile, Objective, Question, load_question

__all__ = ["NetworkFile", "Objective", "Question", "load_question"]
