"""One query's search over several processes: each works on nodes of its own and hands half of them to one that has none left.

The parent keeps a copy of what every process has: the nodes that it was given, or kept when it last handed some on. What came of
nodes counts, and goes into the proof, only together with those that are left of them. So when a process dies, whatever the reason,
its nodes are given to another one, and nothing is lost but time.

When it is time for small trees to narrow ranges (`refine`), all nodes come back to the parent, and new processes go on with what is left.
"""

from __future__ import annotations

import traceback
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np

from ..errors import UnsupportedError
from ..limits import LimitReached
from ..processes import CONTEXT, POLL_SECONDS, begin_child, interrupts_held, start
from .disjuncts import Branch
from .nodes import Nodes
from .tree import Inputs, Search

# Nodes for each process before the work is shared: fewer would leave some process without any at once.
SHARE = 32
# Ids of nodes that the processes give count from here, one such range each.
IDS = 1 << 40
# Processes that may die with the same nodes: then it is likely these that kill them.
DEATHS = 3
# What a process is asked for: half of its nodes, or all of them, with which it ends.
HALF, ALL = "half", "all"

# Nodes on their way to another process, and the branch of each.
Handed = tuple[Nodes, list[Branch]]


class Portion(NamedTuple):
    """Nodes that one process works on, or that wait for one, and how many have died with them."""

    handed: Handed
    deaths: int = 0


def run(search: Search, processes: int) -> Inputs | None:
    """Like `search.run()`. Raises `LimitReached`, or `RuntimeError` with the traceback of a process that fails."""
    search.start()
    found = search.advance(SHARE * processes)
    if found is not None or not search.stack:
        return found
    return _Pool(search, processes).run() if search.has_room_to_unload() else search.advance()


class _Pool:
    """The parent's side: up to `processes` workers, until one finds a witness or all have nothing left."""

    def __init__(self, search: Search, processes: int):
        self.search, self.processes = search, processes
        self.workers: list[_Worker] = []
        self.waiting: deque[Portion] = deque()
        self.started = 0
        # Whether all nodes are on their way back; nodes that were worked on and are not in the search's counts.
        self.collecting, self.uncounted = False, search.scheduler.worked - search.counts["nodes"]
        self._share()

    def _share(self) -> None:
        """Every n-th of the search's nodes waits for one of n processes."""
        nodes = self.search.unload()
        for k in range(min(self.processes, len(nodes))):
            part = nodes.take(np.arange(k, len(nodes), self.processes))
            self.waiting.append(Portion(_handed(self.search, part)))

    def run(self) -> Inputs | None:
        try:
            while self.waiting or any(worker.portion for worker in self.workers):
                if self.collecting:
                    self._collect()
                self._give()
                for connection in wait([worker.connection for worker in self.workers], POLL_SECONDS):
                    worker = next(w for w in self.workers if w.connection is connection)
                    found = self._receive(worker)
                    if found is not None:
                        return found
                for worker in list(self.workers):
                    self.search.limits.check(worker.process.pid or 0)
                    # Not left to the end of the pipe: another thread's fork may hold its other end open.
                    if not worker.process.is_alive() and not worker.connection.poll():
                        self._bury(worker)
                self._ask_for_nodes()
        finally:
            for worker in self.workers:
                worker.end()
        return None

    def _collect(self) -> None:
        """All nodes come back; once they have, small trees narrow them, and other processes begin with what is left."""
        for worker in list(self.workers):
            if worker.portion is not None and not worker.ends:
                worker.ends = True
                self._send(worker, ALL)
        if not any(worker.portion for worker in self.workers):
            self.collecting = False
            self._refine()

    def _refine(self) -> None:
        search = self.search
        search.stack = [_adopt(search, portion.handed) for portion in self.waiting]
        if not (search.may_refine() and search.has_room_to_unload()):
            search.refinement.able, search.stack = False, []  # they wait as they are
            return
        for worker in self.workers:
            worker.end()
        self.workers, self.waiting = [], deque()
        search.scheduler.worked = int(self.uncounted + search.counts["nodes"])
        search.refine()
        if search.stack:
            self._share()

    def _give(self) -> None:
        """Nodes that wait go to processes that have none, old or new, unless all are to come together."""
        while self.waiting and not self.collecting:
            worker = next((w for w in self.workers if w.portion is None), None)
            if worker is None:
                if len(self.workers) == self.processes:
                    return
                anneals = not any(w.anneals for w in self.workers)  # the others do more for the tree
                self.workers.append(worker := _Worker(self.search, self.started, anneals))
                self.started += 1
            worker.portion = self.waiting.popleft()
            self._send(worker, worker.portion.handed)

    def _ask_for_nodes(self) -> None:
        """Every idle process gets half of what some busy one has, as soon as that one answers."""
        if self.collecting:
            return
        promised = len(self.waiting) + sum(worker.asked for worker in self.workers)
        wanted = self.processes - promised - sum(worker.portion is not None for worker in self.workers)
        for worker in list(self.workers):
            if wanted > 0 and worker.portion is not None and not worker.asked:
                worker.asked, wanted = True, wanted - 1
                self._send(worker, HALF)

    def _send(self, worker: _Worker, content: Handed | str) -> None:
        try:
            worker.connection.send(content)
        except OSError:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """Nodes of a process that died wait for another one."""
        self.workers.remove(worker)
        worker.end()
        if worker.portion is not None:
            handed, deaths = worker.portion
            if deaths + 1 == DEATHS:
                raise LimitReached(f"{DEATHS} processes of the search died with the same nodes")
            self.waiting.append(Portion(handed, deaths + 1))

    def _receive(self, worker: _Worker) -> Inputs | None:
        """Act on a message: (kind, content)."""
        try:
            kind, content = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return None
        if kind == "found":
            return content
        if kind == "limit":
            raise LimitReached(content)
        if kind == "fault":
            raise RuntimeError(f"a process of the search failed:\n{content}")
        if kind == "none":  # too few nodes to share
            worker.asked = False
            return None
        if kind in ("due", "full"):  # time for small trees; no room to give all nodes back
            self.search.refinement.able &= kind == "due"
            self.collecting = self.search.refinement.able
            return None
        if kind == "idle":
            worker.portion = None
        elif kind == "all":
            handed, content = content
            self.workers.remove(worker)
            worker.end()
            self.waiting.append(Portion(handed))
        else:  # "nodes" to hand on, and those that are left
            (handed, left), content = content
            worker.asked, worker.portion = False, Portion(left)
            self.waiting.append(Portion(handed))
        self._count(*content)
        return None

    def _count(self, counts: dict[str, float], nodes: dict[int, Any], looked: float) -> None:
        for name, count in counts.items():
            self.search.counts[name] = self.search.counts.get(name, 0) + count
        if self.search.proof is not None:
            self.search.proof.nodes.update(nodes)
        looks = self.search.scheduler.looks
        looks.seconds = max(looks.seconds, looked)


class _Worker:
    """The parent's side of a process.

    portion is what it works on, None while it is idle; it is asked while it owes half of that, and ends once it has given all of it back.
    """

    def __init__(self, search: Search, number: int, anneals: bool):
        self.connection, theirs = CONTEXT.Pipe()
        self.portion: Portion | None = None
        self.asked, self.ends, self.anneals = False, False, anneals
        with interrupts_held():
            self.process = start(_work, search, number, anneals, theirs, daemon=True)
        theirs.close()

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


class _HandedBack(Exception):  # noqa: N818 (a message, not an error)
    """A process has given all its nodes back."""


def _work(search: Search, number: int, anneals: bool, connection: Connection, parent: int) -> None:
    """The process: steps until the nodes that it is sent run out; what it is asked for it answers between steps."""
    begin_child(parent)
    search.limits.cancel = search.limits.progress = None  # the parent's
    search.ids = IDS * (number + 1)
    search.scheduler.annealer.able &= anneals
    begun = search.scheduler.worked
    try:
        while True:
            search.stack = [_adopt(search, _next_nodes(connection))]
            _take_counts(search)
            found = _steps(search, connection, begun)
            connection.send(("idle", _take_counts(search)) if found is None else ("found", found))
    except LimitReached as limit:
        connection.send(("limit", limit.reason))
    except MemoryError:
        connection.send(("limit", "memory"))
    except UnsupportedError as unsupported:
        connection.send(("limit", str(unsupported)))
    except (EOFError, ConnectionError, _HandedBack):
        return  # the parent is gone, or has all that was here
    except BaseException:
        connection.send(("fault", traceback.format_exc()))


def _take_counts(search: Search) -> tuple[dict[str, float], dict[int, Any], float]:
    """What was counted and proved since the last call, and the seconds that walks or local search have had here."""
    counts = search.counts.copy()
    search.counts.update(dict.fromkeys(counts, 0))
    nodes: dict[int, Any] = {}
    if search.proof is not None:
        nodes, search.proof.nodes = search.proof.nodes, nodes
    return counts, nodes, search.scheduler.looks.seconds


def _steps(search: Search, connection: Connection, begun: int) -> Inputs | None:
    """Steps until nodes run out; begun: the nodes that the search had worked on before it was shared."""
    while search.stack:
        search.limits.check()
        found = search.step()
        if found is not None:
            return found
        # As if the others had worked on as many.
        if search.may_refine(begun + search.options.jobs * (search.scheduler.worked - begun)):
            search.refinement.able = False  # the parent's
            connection.send(("due", None))
        if connection.poll():
            _answer(search, connection, connection.recv())
    return None  # which the parent hears, whatever it has asked for


def _answer(search: Search, connection: Connection, asked: str) -> None:
    """Half of the nodes for the parent, or all."""
    if asked == HALF:
        halves = _halves(search)
        connection.send(("none", None) if halves is None else ("nodes", (halves, _take_counts(search))))
    elif search.stack and search.has_room_to_unload():
        connection.send(("all", (_handed(search, search.unload()), _take_counts(search))))
        raise _HandedBack
    elif search.stack:
        connection.send(("full", None))


def _handed(search: Search, nodes: Nodes) -> Handed:
    return nodes, [search.disjuncts.table[branch] for branch in nodes.branch.tolist()]


def _halves(search: Search) -> tuple[Handed, Handed] | None:
    """Every other node, taken off the stack, and those that are left; None if there are too few, or no room: then all stay as they are."""
    if not search.stack or not search.has_room_to_unload():
        return None
    nodes = search.unload()
    if len(nodes) < 2:
        search.stack = [nodes]
        return None
    left, handed = nodes.take(np.arange(0, len(nodes), 2)), nodes.take(np.arange(1, len(nodes), 2))
    search.stack = [left]
    return _handed(search, handed), _handed(search, left)


def _adopt(search: Search, handed: Handed) -> Nodes:
    """Nodes of another process, with the numbers that their branches have here: each process counts those that it meets."""
    nodes, branches = handed
    nodes.branch = np.array([search.disjuncts.number(branch) for branch in branches], np.int64)
    nodes.basis = np.full(len(nodes), -1, np.int64)  # ids are each process's own
    return nodes


def _next_nodes(connection: Connection) -> Handed:
    """Nodes from the parent; to a request that crossed our being idle there are none."""
    while True:
        content = connection.recv()
        if content == HALF:
            connection.send(("none", None))
        elif content != ALL:
            return content
