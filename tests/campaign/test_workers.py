"""Worker processes."""

import errno
import itertools
import multiprocessing
import os
import signal
import time

import pytest
from larger import INPUTS, larger_network
from processes import is_running, wait_until

from qbitsat.campaign import Verifier, plan, workers
from qbitsat.campaign.workers import run
from qbitsat.errors import InputError, QbitsatError
from qbitsat.verify import UNKNOWN, Verdict


def report_pid(task: int) -> Verdict:
    """A verdict that says which process it comes from."""
    time.sleep(0.02)
    return Verdict("HOLDS", str(os.getpid()))


def test_every_task_once():
    assert sorted(task for task, _ in run(report_pid, range(20), 3)) == list(range(20))


def test_one_job_runs_in_this_process():
    assert {verdict.reason for _, verdict in run(report_pid, range(3), 1)} == {str(os.getpid())}


def test_workers_persist():
    pids = {verdict.reason for _, verdict in run(report_pid, range(20), 2)}
    assert len(pids) <= 2
    assert str(os.getpid()) not in pids


def test_no_more_workers_than_tasks():
    assert len({verdict.reason for _, verdict in run(report_pid, range(2), 9)}) <= 2


def test_no_tasks():
    assert list(run(report_pid, [], 4)) == []


def test_verdicts_come_in_order_of_completion():
    def sleep(task: float) -> Verdict:
        time.sleep(task)
        return Verdict("HOLDS")

    assert [task for task, _ in run(sleep, [0.6, 0.1, 0.2], 2)] == [0.1, 0.2, 0.6]


def test_killed_worker_is_replaced():
    def die_once(task: int) -> Verdict:
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict("HOLDS")

    verdicts = dict(run(die_once, range(10), 2))
    dead = verdicts.pop(3)
    assert (dead.verdict, dead.reason) == (UNKNOWN, "worker died: signal 9")
    assert {verdict.verdict for verdict in verdicts.values()} == {"HOLDS"}
    assert len(verdicts) == 9


def test_dead_worker_has_the_time_of_its_last_task_alone():
    def burn_and_die(task: float) -> Verdict:
        end = time.process_time() + task
        while time.process_time() < end:
            pass
        if task < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        return Verdict("HOLDS", cpu_seconds=task)

    dead = [verdict for _, verdict in run(burn_and_die, [0.5, 0.5, 0.2, 0.2], 2) if verdict.verdict == UNKNOWN]
    assert all(0.15 < verdict.cpu_seconds < 0.45 and verdict.seconds > 0.15 for verdict in dead)
    assert len(dead) == 2


def refuse_from(monkeypatch, number: int) -> None:
    """Have the system refuse this and every later process."""
    count, start = itertools.count(), workers.start

    def refusing(*arguments, **keywords):
        if next(count) >= number:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*arguments, **keywords)

    monkeypatch.setattr(workers, "start", refusing)


def test_fewer_processes_than_asked_for_do_the_work(monkeypatch):
    refuse_from(monkeypatch, 2)
    verdicts = dict(run(report_pid, range(10), 5))
    assert sorted(verdicts) == list(range(10))
    assert len({verdict.reason for verdict in verdicts.values()}) <= 2


def test_no_process_at_all_is_refused(monkeypatch):
    refuse_from(monkeypatch, 0)
    with pytest.raises(InputError, match="jobs: no process can be started: Resource temporarily unavailable"):
        list(run(report_pid, range(10), 5))


def test_worker_that_can_not_be_replaced_leaves_its_tasks_to_the_others(monkeypatch):
    def die_once(task: int) -> Verdict:
        if task == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return Verdict("HOLDS")

    refuse_from(monkeypatch, 2)
    verdicts = dict(run(die_once, range(6), 2))
    assert [task for task, verdict in sorted(verdicts.items()) if verdict.verdict == UNKNOWN] == [0]
    assert len(verdicts) == 6


def test_worker_that_exits_is_unknown():
    def leave(task: int) -> Verdict:
        os._exit(3)

    assert {verdict.reason for _, verdict in run(leave, range(4), 2)} == {"worker died: exit code 3"}


def test_bad_input_in_a_worker_is_raised_here():
    def refuse(task: int) -> Verdict:
        raise InputError("x: 1, expected 2")

    with pytest.raises(QbitsatError, match="x: 1, expected 2"):
        list(run(refuse, range(4), 2))


def test_fault_in_a_worker_is_raised_with_its_traceback():
    def fail(task: int) -> Verdict:
        raise ZeroDivisionError("our own mistake")

    with pytest.raises(RuntimeError, match=r"(?s)in fail.*our own mistake"):
        list(run(fail, range(4), 2))


def test_workers_end_when_the_run_is_left(tmp_path):
    def wait(task: int) -> Verdict:
        (tmp_path / str(os.getpid())).touch()
        time.sleep(600 * (task > 0))
        return Verdict("HOLDS")

    results = run(wait, range(3), 2)
    assert next(results)[0] == 0
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    results.close()
    assert not any(is_running(int(path.name)) for path in tmp_path.iterdir())


def test_workers_ignore_the_interrupt_of_the_terminal():
    def interrupt(task: int) -> Verdict:
        os.kill(os.getpid(), signal.SIGINT)
        return Verdict("HOLDS")

    assert {verdict.verdict for _, verdict in run(interrupt, range(4), 2)} == {"HOLDS"}


def test_work_may_start_children():
    def have_child(task: int) -> Verdict:
        child = multiprocessing.get_context("fork").Process(target=os._exit, args=(task,))
        child.start()
        child.join()
        return Verdict("HOLDS", str(child.exitcode))

    assert [verdict.reason for _, verdict in sorted(run(have_child, range(2), 2), key=lambda pair: pair[0])] == ["0", "1"]


def test_spawned_workers_give_the_same_verdicts(monkeypatch):
    network = larger_network()
    tasks = plan(network, INPUTS, None, range(4), [1])
    forked = {task.sample: verdict.verdict for task, verdict in run(Verifier(network, {}), tasks, 2)}
    monkeypatch.setattr(workers, "CONTEXT", multiprocessing.get_context("spawn"))
    assert {task.sample: verdict.verdict for task, verdict in run(Verifier(network, {}), tasks, 2)} == forked


def test_interrupt_right_after_a_fork_leaves_no_worker(monkeypatch):
    """Before the new process is known to the run: it must be ended all the same."""
    pids = []
    start = workers.start

    def interrupted(*arguments, **keywords):
        process = start(*arguments, **keywords)
        pids.append(process.pid)
        os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(workers, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(run(report_pid, range(3), 2))
    assert len(pids) == 1
    assert not is_running(pids[0])
