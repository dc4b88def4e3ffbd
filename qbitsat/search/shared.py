"""One query's search over several processes: each works on nodes of its own and hands half of them to one that has none left.

The parent keeps a copy of what every process has: the nodes that it was given, or kept when it last handed some on. What came of
nodes counts, and goes into the proof, only together with those that are left of them. So when a process dies, whatever the reason,
its nodes are given to another one, and nothing is lost but time.

One process narrows the root's ranges by small trees when it is time (`refine`). It gives its nodes away before; after, so do all
others, and get nodes with what was found. Whoever works is sent single words: more might wait for one that itself waits to send.
"""

from __future__ import annotations

import copyreg
import traceback
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np

from ..bounds import Ranges
from ..bounds.reduction import Reduction
from ..errors import UnsupportedError
from ..limits import LimitReached, Limits
from ..options import Options
from ..processes import CONTEXT, POLL_SECONDS, begin_child, interrupts_held, start
from .disjuncts import Branch
from .nodes import Nodes
from .proof import Proof
from .refine import Pass
from .tree import Inputs, Search

# Nodes for each process before the work is shared: fewer would leave some process without any at once.
SHARE = 32
# Ids of nodes that the processes give count from here, one such range each.
IDS = 1 << 40
# Processes that may die with the same nodes: then it is likely these that kill them.
DEATHS = 3

# Where fewer layers are behind the first, passes for fewer nodes than these are left out: others work within wider ranges meanwhile.
DEEP, LATER = 3, 3200

# Nodes on their way to another process, and the branch of each.
Handed = tuple[Nodes, list[Branch]]
# Nodes for a process that has none, and a pass that it has not heard of.
Given = tuple[Handed, Pass | None]
# What one that works is asked for: half of its nodes, or all, as there are narrower ranges.
HALF, ALL = "half", "all"


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
        self.started = self.unbegun = 0
        # The newest pass, and how many there were.
        self.found: Pass | None = None
        self.passes = 0
        search.may_refine()  # not behind leaves for SAT, which the processes count anew
        search.refinement.able &= search.options.refine
        search.refinement.shared = True
        if len(search.refinement.deep) < DEEP:
            search.refinement.postpone(LATER)
            # Passes that may come leave no leaf of a proof to SAT: not where none has found anything so far.
            search.refinement.able &= not search.refinement.kept or search.refinement.ends > 0
        nodes = search.unload()
        for k in range(min(processes, len(nodes))):
            part = nodes.take(np.arange(k, len(nodes), processes))
            self.waiting.append(Portion(_handed(search, part)))

    def run(self) -> Inputs | None:
        try:
            while self.waiting or any(worker.portion for worker in self.workers):
                self._give()
                for connection in wait([worker.connection for worker in self.workers], POLL_SECONDS):
                    worker = next((w for w in self.workers if w.connection is connection), None)
                    found = self._receive(worker) if worker else None
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

    def _give(self) -> None:
        """Nodes that wait go to processes that have none; as many others begin as nodes are left."""
        idle = [worker for worker in self.workers if worker.idle]
        while self.waiting and idle:
            worker = idle.pop()
            worker.portion = self.waiting.popleft()
            found = self.found if worker.heard < self.passes else None
            worker.heard = self.passes
            self._send(worker, (worker.portion.handed, found))
        beginning = sum(not worker.begun for worker in self.workers)
        for _ in range(min(len(self.waiting) - beginning, self.processes - len(self.workers))):
            anneals = not any(w.anneals for w in self.workers)  # the others do more for the tree
            refines = not anneals and not any(w.refines for w in self.workers)
            self.workers.append(_Worker(self.search, self.started, anneals, refines))
            self.started += 1

    def _ask_for_nodes(self) -> None:
        """Every idle process gets half of what some busy one has, as soon as that one answers."""
        promised = len(self.waiting) + sum(worker.asked for worker in self.workers)
        wanted = self.processes - promised - sum(not worker.idle for worker in self.workers)
        for worker in list(self.workers):
            if wanted > 0 and worker.portion is not None and not worker.asked:
                worker.asked, wanted = True, wanted - 1
                self._send(worker, HALF)

    def _send(self, worker: _Worker, content: Given | Search | str) -> None:
        try:
            worker.connection.send(content)
        except OSError:
            self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """Nodes of a process that died wait for another one."""
        self.workers.remove(worker)
        worker.end()
        if worker.refines and worker.away:  # a pass that kills one would kill the next one
            self.search.refinement.able = False
        self.unbegun += not worker.begun
        if self.unbegun == DEATHS:
            raise LimitReached(f"{DEATHS} processes of the search died before they began")
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
        if kind == "empty":
            self._send(worker, self.search)
            return None
        if kind == "ready":
            worker.begun, self.unbegun = True, 0
            return None
        if kind == "none":  # too few nodes to share
            worker.asked = False
            return None
        if kind == "pass":
            self._pass_on(worker, content)
            return None
        if kind == "idle":
            worker.portion, worker.away = None, False
        elif kind == "away":
            handed, content = content
            worker.portion, worker.away, worker.asked = None, True, False
            self.waiting.append(Portion(handed))
        else:  # "nodes" to hand on, and those that are left
            (handed, left), content = content
            worker.asked, worker.portion = False, Portion(left)
            self.waiting.append(Portion(handed))
        self._count(*content)
        return None

    def _pass_on(self, worker: _Worker, found: Pass) -> None:
        """All go on within what one has found: who works gives its nodes back."""
        self.search.record(found)
        self.found, self.passes = found._replace(notes={}), self.passes + 1
        worker.heard = self.passes
        for other in [other for other in self.workers if other.portion is not None]:
            self._send(other, ALL)

    def _count(self, counts: dict[str, float], nodes: dict[int, Any]) -> None:
        for name, count in counts.items():
            self.search.counts[name] = self.search.counts.get(name, 0) + count
        if self.search.proof is not None:
            self.search.proof.nodes.update(nodes)


class _Worker:
    """The parent's side of a process.

    It has begun once it says so, and gets no nodes before: that might take as long as it takes to begin. portion is what it works on, None
    while it has no nodes; it is asked while it owes an answer, and away from when it has given all nodes back, for a pass of its own or
    after another's, until it is idle. It has heard of so many passes.
    """

    def __init__(self, search: Search, number: int, anneals: bool, refines: bool):
        self.connection, theirs = CONTEXT.Pipe()
        self.portion: Portion | None = None
        self.begun, self.asked, self.away, self.anneals, self.refines, self.heard = False, False, False, anneals, refines, 0
        # Where the memory of this process is not copied the search is sent, once it is waited for.
        own = search if CONTEXT.get_start_method() == "fork" else None
        with interrupts_held():
            self.process = start(_work, own, number, anneals, refines, theirs, daemon=True)
        theirs.close()

    @property
    def idle(self) -> bool:
        return self.begun and self.portion is None and not self.away

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _work(search: Search | None, number: int, anneals: bool, refines: bool, connection: Connection, parent: int) -> None:
    """The process: steps until the nodes that it is sent run out; what it is asked for it answers between steps."""
    begin_child(parent)
    try:
        if search is None:
            connection.send(("empty", None))
            search = connection.recv()
        search.limits.cancel = search.limits.progress = None  # the parent's
        search.limits.cores = 1
        search.ids = IDS * (number + 1)
        search.scheduler.annealer.able &= anneals
        connection.send(("ready", None))
        passes = _Passes(search, refines)
        while True:
            handed, made = _next_nodes(connection)
            search.stack = [_adopt(search, handed)]
            _take_counts(search)
            passes.meet(made)
            found = _steps(search, connection, passes)
            connection.send(("idle", _take_counts(search)) if found is None else ("found", found))
    except LimitReached as limit:
        connection.send(("limit", limit.reason))
    except MemoryError:
        connection.send(("limit", "memory"))
    except UnsupportedError as unsupported:
        connection.send(("limit", str(unsupported)))
    except (EOFError, ConnectionError):
        return  # the parent is gone
    except BaseException:
        connection.send(("fault", traceback.format_exc()))


class _Passes:
    """A process's part in passes: one makes them, when its own nodes, as if others work on while it does not, say that it is time."""

    def __init__(self, search: Search, refines: bool):
        # Whether the root may be narrower than nodes are.
        self.search, self.refines, self.narrowed = search, refines, False
        self.begun, self.since, self.seconds = search.scheduler.worked, search.limits.seconds(), 0.0

    def due(self) -> bool:
        own, seconds = self.search.scheduler.worked - self.begun, self.search.limits.seconds() - self.since
        worked = own * self.search.options.jobs * seconds / max(1e-9, seconds - self.seconds)
        return self.refines and self.search.may_refine(self.begun + worked)

    def run(self) -> Pass:
        started = self.search.limits.seconds()
        found = self.search.refinement.pass_over(self.search.root, self.search.new_ids)
        self.seconds += self.search.limits.seconds() - started
        return found

    def hear(self, found: Pass) -> None:
        """Go on within a root; where that has no room, within the old one: nodes have their own ranges."""
        self.narrowed = True
        try:
            self.search.go_on_within(found._replace(notes={}))  # the parent has them
        except LimitReached as limit:
            if limit.reason != "memory":
                raise

    def meet(self, found: Pass | None) -> None:
        """The same before nodes that have just come are worked on."""
        if found is not None:
            self.hear(found)
        if self.narrowed:
            self.search.meet_root()


def _take_counts(search: Search) -> tuple[dict[str, float], dict[int, Any]]:
    """What was counted and proved since the last call."""
    counts = search.counts.copy()
    search.counts.update(dict.fromkeys(counts, 0))
    nodes: dict[int, Any] = {}
    if search.proof is not None:
        nodes, search.proof.nodes = search.proof.nodes, nodes
    return counts, nodes


def _steps(search: Search, connection: Connection, passes: _Passes) -> Inputs | None:
    while search.stack:
        search.limits.check()
        found = search.step()
        if found is not None:
            return found
        if connection.poll():
            _answer(search, connection, connection.recv())
        if search.stack and passes.due() and _give_away(search, connection):
            made = passes.run()
            connection.send(("pass", made))
            passes.hear(made)
    return None


def _answer(search: Search, connection: Connection, asked: str) -> None:
    """Give half of the nodes away, or all."""
    if asked == ALL:
        _give_away(search, connection)
    else:
        halves = _halves(search)
        connection.send(("none", None) if halves is None else ("nodes", (halves, _take_counts(search))))


def _give_away(search: Search, connection: Connection) -> bool:
    """Whether all nodes went to the parent: there are some, and there is room."""
    if not search.stack or not search.has_room_to_unload():
        return False
    connection.send(("away", (_handed(search, search.unload()), _take_counts(search))))
    return True


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


def _next_nodes(connection: Connection) -> Given:
    """Nodes from the parent; to a request that crossed our being idle there are none."""
    while True:
        content = connection.recv()
        if content == HALF:
            connection.send(("none", None))
        elif content != ALL:
            return content


def _taken_apart(search: Search) -> tuple[Any, ...]:
    """A search without nodes, for a process that has nothing of this one's memory."""
    passes = {"shared": search.refinement.shared, **search.refinement.progress}
    made = search.reduction, search.options, search.limits, None if search.proof is None else Proof()
    return _put_together, (made, search.root, search.scheduler.worked, passes)


def _put_together(made: tuple[Reduction, Options, Limits, Proof | None], root: Ranges, worked: int, passes: dict[str, int]) -> Search:
    search = Search(*made)
    search.root = root
    for name, value in passes.items():
        setattr(search.refinement, name, value)
    search.schedule()
    search.scheduler.worked = worked
    return search


copyreg.pickle(Search, _taken_apart)
