"""Questions as TOML files: read, and written."""

from .question import NetworkFile, Objective, Question, load_question
from .write import question_text

__all__ = ["NetworkFile", "Objective", "Question", "load_question", "question_text"]
