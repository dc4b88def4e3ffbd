"""What people read: tables, lines and pictures as plain text."""

from .float_network import describe_floats
from .network import describe
from .pictures import side_by_side
from .results import details, head, result_line, summary
from .table import table

__all__ = ["describe", "describe_floats", "details", "head", "result_line", "side_by_side", "summary", "table"]
