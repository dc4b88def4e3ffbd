"""What people read: tables, lines and pictures as plain text."""

from .network import describe
from .pictures import side_by_side
from .results import details, head, result_line, summary
from .table import table

__all__ = ["describe", "details", "head", "result_line", "side_by_side", "summary", "table"]
