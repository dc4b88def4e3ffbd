"""One query's search over several processes: each works on nodes of its own and hands half of them to one that has none left."""

from __future__ import annotations

import traceback
from multiprocessing.connection import Connection, wait

import numpy as np

from ..errors import UnsupportedError
from ..limits import LimitReached
from ..solvers.processes import CONTEXT, POLL_SECONDS, begin_child, interrupts_held, start
from .cases import Case
from .nodes import Nodes
from .tree import Inputs, Search

# Nodes for each process before the work is shared: fewer would leave some process without any at once.
SHARE = 32
# Names of nodes that the processes give count from here, one such range each.
NAMES = 1 << 40

# Nodes on their way to another process, and the case of each.
Handed = tuple[Nodes, list[Case]]


def run(search: Search, processes: int) -> Inputs | None:
    """Like `search.run()`. Raises `LimitReached`, also if a process dies, or `RuntimeError` with the traceback of one that fails."""
    search.start()
    found = search.advance(SHARE * processes)
    return _share(search, processes) if found is None and search.stack else found


def _share(search: Search, processes: int) -> Inputs | None:
    """Processes with an equal part of the nodes each, until one finds a witness or all have nothing left."""
    nodes, search.stack = Nodes.stack(search.stack), []
    workers: list[_Worker] = []
    try:
        for k in range(processes):
            workers.append(_Worker(search, k, nodes.take(np.arange(k, len(nodes), processes))))
        while any(worker.busy for worker in workers):
            for connection in wait([worker.connection for worker in workers], POLL_SECONDS):
                worker = next(w for w in workers if w.connection is connection)
                found = worker.receive(search, workers)
                if found is not None:
                    return found
            for worker in workers:
                search.limits.check(worker.pid)
            _ask_for_nodes(workers)
    finally:
        for worker in workers:
            worker.end()
    return None


def _ask_for_nodes(workers: list[_Worker]) -> None:
    """Every idle process gets half of what some busy one has, as soon as that one answers."""
    idle = sum(not worker.busy for worker in workers) - sum(worker.asked for worker in workers)
    for worker in workers:
        if idle > 0 and worker.busy and not worker.asked:
            worker.asked, idle = True, idle - 1
            worker.connection.send(None)


class _Worker:
    """The parent's side of a process: `busy` while it has nodes, `asked` while it owes an answer."""

    def __init__(self, search: Search, number: int, nodes: Nodes):
        self.connection, theirs = CONTEXT.Pipe()
        self.busy, self.asked = True, False
        with interrupts_held():
            self.process = start(_work, search, number, nodes, theirs, daemon=True)
        self.pid = self.process.pid or 0
        theirs.close()

    def receive(self, search: Search, workers: list[_Worker]) -> Inputs | None:
        """Act on a message: (kind, content)."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError) as error:
            raise LimitReached("a process of the search died") from error
        if kind == "found":
            return content
        if kind == "limit":
            raise LimitReached(content)
        if kind == "fault":
            raise RuntimeError(f"a process of the search failed:\n{content}")
        if kind == "idle":
            counts, nodes = content
            for name, count in counts.items():
                search.counts[name] = search.counts.get(name, 0) + count
            if search.proof is not None:
                search.proof.nodes.update(nodes)
            self.busy = False
        else:  # nodes to hand on, or None: too few to share
            self.asked = False
            if content is not None:
                # No more are asked than are idle, so there is one; nodes sent back could be forgotten with a late "idle".
                receiver = next(w for w in workers if not w.busy)
                receiver.busy = True
                receiver.connection.send(content)
        return None

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _work(search: Search, number: int, nodes: Nodes, connection: Connection, parent: int) -> None:
    """The process: steps until its nodes run out, then those that it is sent; what it is asked for it answers between steps."""
    begin_child(parent)
    search.names = NAMES * (number + 1)
    search.walker.able &= number == 0  # the others do more for the tree
    try:
        while True:
            search.stack = [nodes]
            search.counts = dict.fromkeys(search.counts, 0)
            if search.proof is not None:
                search.proof.nodes = {}
            found = _steps(search, connection)
            if found is not None:
                connection.send(("found", found))
                return
            connection.send(("idle", (search.counts, search.proof.nodes if search.proof is not None else {})))
            nodes = _adopt(search, _next_nodes(connection))
    except LimitReached as limit:
        connection.send(("limit", limit.reason))
    except MemoryError:
        connection.send(("limit", "memory"))
    except UnsupportedError as unsupported:
        connection.send(("limit", str(unsupported)))
    except (EOFError, OSError):
        return
    except BaseException:
        connection.send(("fault", traceback.format_exc()))


def _steps(search: Search, connection: Connection) -> Inputs | None:
    while search.stack:
        search.limits.check()
        found = search.step()
        if found is not None:
            return found
        if connection.poll():
            connection.recv()
            connection.send(("nodes", _half(search)))
    return None


def _half(search: Search) -> Handed | None:
    """Every other node, taken off the stack; None if there are too few."""
    nodes = Nodes.stack(search.stack) if search.stack else None
    if nodes is None or len(nodes) < 2:
        return None
    search.stack, handed = [nodes.take(np.arange(0, len(nodes), 2))], nodes.take(np.arange(1, len(nodes), 2))
    return handed, [search.cases.table[case] for case in handed.case.tolist()]


def _adopt(search: Search, handed: Handed) -> Nodes:
    """Nodes of another process, with the numbers that their cases have here: each process counts those that it meets."""
    nodes, cases = handed
    nodes.case = np.array([search.cases.number(case) for case in cases], np.int64)
    nodes.basis = np.full(len(nodes), -1, np.int64)  # names are each process's own
    return nodes


def _next_nodes(connection: Connection) -> Handed:
    """Nodes from the parent; a request that crossed our being idle is answered with none."""
    while True:
        content = connection.recv()
        if content is not None:
            return content
        connection.send(("nodes", None))
