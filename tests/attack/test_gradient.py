"""The attack: what it proposes is in the boxes and true, obvious violations are found, and seeds repeat."""

import random
from unittest import mock

import numpy as np
import pytest
from graphs import graph_query
from handmade import copying, dense, one_layer, query, tensor, x, y
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import random_query

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.attack import gradient, propose
from qbitsat.limits import LimitReached, Limits
from qbitsat.network import Convolution, Linear, Network, SparseRows, TensorFormat, forward_all, reference
from qbitsat.options import make_options
from qbitsat.properties import And, AtMost, Box, Formula, Or, Query, Ref, at_least, robustness
from qbitsat.properties.formula import FALSE, TRUE, is_true, without_not

EXAMPLES = settings(derandomize=True, deadline=None, max_examples=100)


def attack(asked: Query, **options):
    return propose(asked, without_not(asked.violation), make_options(**options), Limits()).inputs


def confirmed(asked: Query, inputs) -> bool:
    """Inside the boxes, and a violation in the slow reference."""
    inside = all((b.lo <= np.array(p)).all() and (np.array(p) <= b.hi).all() for p, b in zip(inputs, asked.boxes, strict=True))
    outputs = [reference.run(network, point) for network, point in zip(asked.networks, inputs, strict=True)]
    return inside and is_true(asked.violation, inputs, outputs)


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_attack_is_never_wrong(seed):
    asked = random_query(random.Random(seed))
    inputs = attack(asked, seed=seed, restarts=seed % 4)
    assert inputs is None or confirmed(asked, inputs)


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_attack_repeats_for_a_seed(seed):
    asked = random_query(random.Random(seed))
    assert attack(asked, seed=3) == attack(asked, seed=3)


def test_attacks_that_find_nothing_say_where_they_ended():
    """A point in the boxes for each of the disjuncts that were nearest."""
    network = one_layer(np.ones((1, 12), int), form=tensor(12, 0, 5))
    parts = [at_least(((1, y(0)),), 61 + 2 * k) for k in range(gradient.KEPT + 4)]
    asked = query(network, Or(tuple(reversed(parts))))
    found = propose(asked, asked.violation, make_options(), Limits())
    assert found.inputs is None
    assert [point.tolist() for point in found.nearest] == [[5] * 12] * gradient.KEPT
    nearest = gradient.Nearest()
    for k, part in enumerate(reversed(parts)):
        nearest.look(part, k, [np.array([[k]])], 0)
    assert list(nearest.points.values()) == [[k] for k in range(4, gradient.KEPT + 4)]
    nearest.look(parts[0], 0, [np.array([[99]])], 0)
    assert [99] not in nearest.points.values()


@EXAMPLES
@given(st.integers(0, 40))
def test_attack_repeats_for_a_seed_after_many_steps(total):
    """Twelve ones that must add up exactly: the first step overshoots, random parts find it or don't."""
    network = one_layer(np.ones((1, 12), int), form=tensor(12, 0, 5))
    asked = query(network, And((AtMost(((1, y(0)),), total), at_least(((1, y(0)),), total))))
    assert attack(asked, seed=5, restarts=1) == attack(asked, seed=5, restarts=1)


def test_attack_proposes_tuples_of_python_ints():
    found = attack(query(copying(2), at_least(((1, y(0)),), 15)))
    assert type(found) is type(found[0]) is tuple
    assert {type(v) for v in found[0]} == {int}


def deep_network(size: int = 12) -> Network:
    """Three layers of half_up rounding, where output 1 grows with every input and output 0 is constant."""
    requantizer = ShiftRequantizer(2, "half_up", 0, 63)
    first = one_layer(np.ones((4, size), int), None, requantizer, tensor(size)).layers[0]
    second = one_layer(np.full((4, 4), 2), None, requantizer, first.output).layers[0]
    third = one_layer([[0] * 4, [1] * 4], [120, 0], requantizer, second.output).layers[0]
    return Network((first, second, third))


def test_attack_finds_an_obvious_change_of_class():
    asked = robustness(deep_network(), [0] * 12, 15, 0)
    inputs = attack(asked, restarts=0)
    assert inputs is not None
    assert confirmed(asked, inputs)


def test_attack_finds_a_target():
    asked = robustness(deep_network(), [0] * 12, 15, 0, 1)
    assert attack(asked, restarts=0) is not None


@pytest.mark.parametrize("formula", [at_least(((1, x(0)), (-1, x(1))), 15), AtMost(((1, y(0)), (-1, y(1))), -15)])
def test_attack_reaches_the_corner_of_the_box(formula):
    assert attack(query(copying(2), formula), restarts=0) is not None


def test_attack_finds_all_parts_of_a_conjunction():
    parts = tuple(at_least(((1, y(i)),), 15) if i % 2 else AtMost(((1, y(i)),), 0) for i in range(6))
    assert attack(query(copying(6), And(parts)), restarts=0) == ((0, 15, 0, 15, 0, 15),)


@pytest.mark.parametrize("elements", [1, gradient.MAX_ELEMENTS], ids=["one_by_one", "together"])
def test_attack_finds_the_last_of_many_disjuncts(monkeypatch, elements):
    monkeypatch.setattr(gradient, "MAX_ELEMENTS", elements)
    disjuncts: tuple[Formula, ...] = tuple(at_least(((1, y(0)),), 16 + k) for k in range(20))
    asked = query(copying(6), Or((*disjuncts, And(tuple(AtMost(((1, y(i)),), 0) for i in range(6))))))
    inputs = attack(asked)
    assert inputs is not None
    assert confirmed(asked, inputs)


def test_attack_batches_stay_within_the_bound_on_memory(monkeypatch):
    sizes = []

    def spy(network, points, limits):
        sizes.append(len(points) * (network.input.size + network.output.size))
        return forward_all(network, points, limits)

    monkeypatch.setattr(gradient, "MAX_ELEMENTS", 100)
    monkeypatch.setattr(gradient, "forward_all", spy)
    attack(query(copying(2), at_least(((1, y(0)),), 16)), restarts=50)
    assert max(sizes) <= 100


def test_attack_over_two_networks():
    one, two = copying(1), copying(2)
    boxes = (Box(np.array([2]), np.array([9])), Box(np.array([3, 0]), np.array([8, 0])))
    asked = Query((one, two), boxes, at_least(((1, Ref(0, "output", 0)), (-1, Ref(1, "output", 0))), 6))
    assert attack(asked) == ((9,), (3, 0))


def test_attack_stays_in_a_box_of_one_point():
    box = Box(np.array([4, 7]), np.array([4, 7]))
    assert attack(query(copying(2), at_least(((1, y(0)),), 5), box)) is None
    assert attack(query(copying(2), at_least(((1, y(0)),), 4), box)) == ((4, 7),)


def test_attack_at_the_ends_of_the_largest_format():
    top = (1 << 31) - 1
    network = one_layer([[1]], None, ShiftRequantizer(0, "floor", -top, top), tensor(1, -top, top))
    assert attack(query(network, AtMost(((1, y(0)),), -top))) == ((-top,),)


def test_attack_through_zero_weights_finds_nothing_and_survives():
    network = one_layer(np.zeros((2, 3), int), [1, 1], ShiftRequantizer(0, "floor", 0, 15))
    assert attack(robustness(network, [5, 5, 5], 3, 0)) is None


def test_attack_on_true_and_false():
    assert attack(query(copying(2), TRUE)) == ((7, 7),)
    assert attack(query(copying(2), FALSE)) is None


def test_attack_keeps_its_limits():
    asked = query(copying(2), at_least(((1, y(0)),), 16))
    with pytest.raises(LimitReached, match="timeout"):
        propose(asked, asked.violation, make_options(), Limits(timeout=0))


def test_attack_looks_at_the_time_between_small_batches(monkeypatch):
    """Many restarts come in batches of MAX_POINTS, so that a limit is noticed soon."""
    sizes = []

    def spy(network, points, limits):
        sizes.append(len(points))
        return forward_all(network, points, limits)

    monkeypatch.setattr(gradient, "forward_all", spy)
    attack(query(copying(2), at_least(((1, y(0)),), 16)), restarts=100)
    assert max(sizes) <= gradient.MAX_POINTS
    assert sum(sizes) >= 101 * gradient.STEPS


@EXAMPLES
@given(st.integers(0, 2**32 - 1))
def test_attack_on_graphs_is_never_wrong(seed):
    asked = graph_query(random.Random(seed))
    inputs = attack(asked, seed=seed, restarts=seed % 4)
    assert inputs is None or confirmed(asked, inputs)


def test_attack_adds_what_several_readers_say():
    """Output x0 - x1 + (2 x1): the second input counts once more where it is read again."""
    form = tensor(2)
    difference = Linear(
        "difference",
        form,
        tensor(1, -15, 15),
        (ShiftRequantizer(0, "floor", -15, 15),),
        SparseRows.of_matrix(np.array([[1, -1]]), np.zeros(1, int)),
    )
    both = Linear(
        "both",
        tensor(2, -15, 15),
        tensor(1, -45, 45),
        (ShiftRequantizer(0, "floor", -45, 45),),
        SparseRows.of_matrix(np.array([[1, 2]]), np.zeros(1, int)),
    )
    reads = np.array([0, 1]), np.array([2, 1])
    asked = query(Network((difference, both), inputs=(form,), reads=reads), at_least(((1, y(0)),), 30))
    assert attack(asked, restarts=0) == ((15, 15),)


def test_attack_through_a_padded_convolution():
    form, ones = TensorFormat((2, 2, 1), 0, 15), np.ones((1, 3, 3, 1), int)
    output = TensorFormat((2, 2, 1), -60, 60)
    layer = Convolution("convolution", form, output, (ShiftRequantizer(0, "floor", -60, 60),), -ones, [0], padding=((1, 1), (1, 1)))
    asked = query(Network((layer,)), AtMost(((1, y(3)),), -60))
    assert attack(asked, restarts=0) == ((15,) * 4,)


def test_attack_weighs_outputs_by_their_own_requantizers():
    """A quarter of 5 x and all of -2 x: a step of the input lowers the sum."""
    requantizers = ShiftRequantizer(2, "floor", -99, 99), ShiftRequantizer(0, "floor", -99, 99)
    first = dense([[5], [-2]], None, requantizers)
    second = dense([[1, 1]], None, ShiftRequantizer(0, "floor", -198, 198), first.output)
    with mock.patch.object(gradient, "STEPS", 2):
        assert attack(query(Network((first, second)), AtMost(((1, y(0)),), -12)), restarts=0) == ((15,),)


def test_attack_does_not_push_dead_neurons_further_down():
    """Twenty neurons that stay 0 would lower the output if they could: together they outweigh the one that counts, if they count."""
    hidden = dense([[1], *[[1]] * 20], [0, *[-100] * 20], ShiftRequantizer(0, "floor", 0, 15))
    last = dense([[1, *[-1] * 20]], None, ShiftRequantizer(0, "floor", -300, 15), hidden.output)
    assert attack(query(Network((hidden, last)), at_least(((1, y(0)),), 15)), restarts=0) == ((15,),)


def test_attack_does_not_raise_results_that_are_as_high_as_they_get():
    """Both results are 15 in the middle of the box. Up goes what need not rise: down is where the other falls."""
    network = one_layer([[1], [3]], [10, 100], ShiftRequantizer(0, "floor", 0, 15), tensor(1))
    assert attack(query(network, AtMost(((1, y(0)), (-1, y(1))), -1)), restarts=0) == ((0,),)


def test_attack_starts_in_the_middle_both_ways(monkeypatch):
    """What is at an end and should go further counts at every other start."""
    seen = []

    def spy(self, values, gradient_, further):
        seen.append((values[:, :2].tolist(), further.tolist()))
        return np.zeros((len(values), 2), np.float32)

    monkeypatch.setattr(gradient.Backward, "gradient", spy)
    attack(query(copying(2), at_least(((1, y(0)),), 16)), restarts=3)
    starts, further = seen[0]
    assert starts[:2] == [[7, 7]] * 2
    assert all(value in (0, 15) for point in starts[2:] for value in point)
    assert further == [False, True] * 2


def test_gradient_of_neurons_at_an_end():
    """Inputs 0 and 15 put the first two neurons at their ends; a result at its end only counts where it is to come back."""
    hidden = dense([[1, 0], [0, 1], [1, 1]], [-5, 5, 0], ShiftRequantizer(0, "floor", 0, 15), tensor(2))
    last = dense([[1, 1, 0]], None, ShiftRequantizer(0, "floor", 0, 15), hidden.output)
    network = Network((hidden, last))
    values = forward_all(network, np.array([[0, 15]] * 4))
    by_value = np.zeros(values.shape, np.float32)
    by_value[:, -1] = [-1, -1, 1, 1]
    found = gradient.Backward(network, Limits()).gradient(values, by_value, np.array([False, True] * 2))
    assert np.sign(found).tolist() == [[0, -1], [-1, -1], [0, 0], [0, 0]]
    assert np.allclose(found[1], -gradient.LEAK)
