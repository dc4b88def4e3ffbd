"""Many queries: their tasks, the workers that verify them, and the store of their results."""

from .queries import Asked, Task, Verifier, plan, query_of, verdicts
from .store import CERTIFICATES, RESULTS, Store, record

__all__ = ["CERTIFICATES", "RESULTS", "Asked", "Store", "Task", "Verifier", "plan", "query_of", "record", "verdicts"]
