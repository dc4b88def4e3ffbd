"""Many queries: their tasks, the workers that verify them, and the store of their results."""

from .queries import MISCLASSIFIED, SKIPPED, Task, Verifier, plan, verdicts
from .store import RESULTS, Store, record

__all__ = ["MISCLASSIFIED", "RESULTS", "SKIPPED", "Store", "Task", "Verifier", "plan", "record", "verdicts"]
