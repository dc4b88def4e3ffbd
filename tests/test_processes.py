"""Work in children, side by side: all answers or none, and no child is left behind."""

import multiprocessing
import os
import time

import pytest

from qbitsat.limits import LimitReached, Limits
from qbitsat.processes import ChildDied, call_in_children


def after(seconds: float, answer):
    time.sleep(seconds)
    return answer


def die(seconds: float, exitcode: int):
    time.sleep(seconds)
    os._exit(exitcode)


def test_answers_come_in_the_order_of_calls():
    limits = Limits(60)
    assert call_in_children(limits, after, [(0.6, 1), (0.3, 2), (0.0, 3)]) == [1, 2, 3]
    assert call_in_children(limits, after, []) == []
    assert not multiprocessing.active_children()


def test_a_limit_ends_all():
    limits = Limits(0.5)
    with pytest.raises(LimitReached, match="timeout"):
        call_in_children(limits, after, [(0.0, 1), (60, 2), (60, 3)])
    assert limits.seconds() < 30
    assert not multiprocessing.active_children()


def test_one_that_dies_ends_all():
    limits = Limits(60)
    with pytest.raises(ChildDied) as death:
        call_in_children(limits, die, [(60, 5), (0.2, 7)])
    assert death.value.exitcode == 7
    assert limits.seconds() < 30
    assert not multiprocessing.active_children()
