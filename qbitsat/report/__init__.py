"""What people read: tables, lines and pictures as plain text."""

from .network import describe
from .pictures import side_by_side
from .results import details, result_line, summary
from .table import table

__all__ = ["describe", "details", "result_line", "side_by_side", "summary", "table"]
