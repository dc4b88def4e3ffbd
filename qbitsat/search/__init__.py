"""Complete search: branch and bound whose nodes are closed by integer multipliers or by SAT."""

from .proof import Proof
from .tree import Search

__all__ = ["Proof", "Search"]
