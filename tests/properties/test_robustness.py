"""Robustness: the formula is the tie rule of argmax, the box is the eps ball inside the format."""

import dataclasses
import itertools
import json
import pickle
import re

import numpy as np
import pytest
from handmade import copying, one_layer, tensor, whole_box

from qbitsat import properties
from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError
from qbitsat.network import TensorFormat
from qbitsat.network.inference import classes_of
from qbitsat.network.reference import first_maximum
from qbitsat.properties import robustness
from qbitsat.properties.formula import is_true

NETWORK = copying(3)


def output_vectors(classes: int):
    """All of -1, 0, 1, 2: every order of the outputs and every pattern of ties."""
    return itertools.product(range(-1, 3), repeat=classes)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_untargeted_is_true_exactly_where_the_class_changes(classes):
    network = copying(classes)
    for label in range(classes):
        violation = robustness(network, [0] * classes, 1, label).violation
        for y in output_vectors(classes):
            assert is_true(violation, [y], [y]) == (first_maximum(y) != label), (label, y)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_targeted_is_true_exactly_where_the_class_is_the_target(classes):
    network = copying(classes)
    for label, target in itertools.permutations(range(classes), 2):
        violation = robustness(network, [0] * classes, 1, label, target).violation
        for y in output_vectors(classes):
            assert is_true(violation, [y], [y]) == (first_maximum(y) == target), (label, target, y)


def class_with_ties_kept(y, label: int) -> int:
    return label if y[label] == max(y) else first_maximum(y)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_ties_that_are_kept_go_to_the_label(classes):
    network = copying(classes)
    for label in range(classes):
        violation = robustness(network, [0] * classes, 1, label, ties="kept").violation
        for y in output_vectors(classes):
            kept = class_with_ties_kept(y, label)
            assert is_true(violation, [y], [y]) == (kept != label), (label, y)
            assert classes_of(np.array([y]), label).tolist() == classes_of(np.array([y]), np.array([label])).tolist() == [kept]
    for label, target in itertools.permutations(range(classes), 2):
        violation = robustness(network, [0] * classes, 1, label, target, ties="kept").violation
        for y in output_vectors(classes):
            assert is_true(violation, [y], [y]) == (class_with_ties_kept(y, label) == target), (label, target, y)


@pytest.mark.parametrize("ties", ["first", "", None, 1, np.zeros(2)])
def test_unknown_rules_for_ties(ties):
    with pytest.raises(InputError, match=r"ties: .* is unknown; expected one of argmax, kept"):
        robustness(NETWORK, [0, 7, 15], 1, 2, ties=ties)


def test_one_output_is_no_classification():
    with pytest.raises(InputError, match=r"has one output, .*; ask about a threshold T instead: Query\(.*at_least\(") as caught:
        robustness(copying(1), [3], 2, 0)
    names = {**vars(properties), "network": copying(1), "box": whole_box(copying(1)), "T": 7}
    query = eval(re.search(r"Query.*(?= holds)", str(caught.value))[0], names)
    assert [is_true(query.violation, [(v,)], [(v,)]) for v in (6, 7, 8)] == [False, True, True]


@pytest.mark.parametrize(
    ("eps", "lo", "hi"),
    [(0, [0, 7, 15], [0, 7, 15]), (1, [0, 6, 14], [1, 8, 15]), (8, [0, 0, 7], [8, 15, 15]), (15, [0, 0, 0], [15, 15, 15])],
)
def test_box_is_the_eps_ball_inside_the_format(eps, lo, hi):
    (box,) = robustness(NETWORK, [0, 7, 15], eps, 0).boxes
    assert (box.lo.tolist(), box.hi.tolist()) == (lo, hi)


@pytest.mark.parametrize("eps", [16, 1 << 31, 1 << 62, 10**30, np.uint64((1 << 64) - 1)])
def test_box_eps_larger_than_the_range_is_the_whole_format(eps):
    (box,) = robustness(NETWORK, [0, 7, 15], eps, 0).boxes
    assert (box.lo.tolist(), box.hi.tolist()) == ([0] * 3, [15] * 3)


def test_box_of_the_largest_format():
    network = one_layer([[1], [1]], None, ShiftRequantizer(0, "floor", 0, 15), tensor(1, -(1 << 31), (1 << 31) - 1))
    (box,) = robustness(network, [(1 << 31) - 1], 1 << 40, 0).boxes
    assert (box.lo.tolist(), box.hi.tolist()) == ([-(1 << 31)], [(1 << 31) - 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_box_small_integer_types_do_not_wrap(dtype):
    (box,) = robustness(copying(2, 0, 127), np.array([0, 127], dtype), dtype(100), dtype(1)).boxes
    assert (box.lo.tolist(), box.hi.tolist()) == ([0, 27], [100, 127])


def test_input_in_the_shape_of_the_tensor_is_flattened():
    form = TensorFormat((2, 2), 0, 15)
    network = one_layer(np.eye(4, dtype=int), None, ShiftRequantizer(0, "floor", 0, 15), form)
    assert robustness(network, [[1, 2], [3, 4]], 0, 0).boxes[0].lo.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("label", [np.uint8(0), np.int64(2)])
def test_label_may_be_a_numpy_integer(label):
    assert robustness(NETWORK, [0, 0, 0], 1, label).violation == robustness(NETWORK, [0, 0, 0], 1, int(label)).violation


FAULTS = {
    "eps_negative": ({"eps": -1}, "eps, in input steps, is -1, expected an integer of at least 0"),
    "eps_float": ({"eps": 1.0}, "eps, in input steps, is 1.0, expected an integer"),
    "eps_real": ({"eps": 0.5}, ".*eps counts input steps, of 1 in real units each; 0.5 in real units is 0.5 steps"),
    "eps_text": ({"eps": "1"}, "eps, in input steps, is '1', expected an integer"),
    "eps_none": ({"eps": None}, "eps, in input steps, is None, expected an integer"),
    "eps_nan": ({"eps": float("nan")}, "eps, in input steps, is nan, expected an integer"),
    "eps_bool": ({"eps": True}, "eps, in input steps, is True, expected an integer"),
    "label_none": ({"label": None}, r"label: None, expected a class in \[0, 2\], an integer"),
    "label_whole_float": ({"label": 2.0}, r"label: 2.0, expected a class in \[0, 2\], an integer"),
    "label_numpy_float": ({"label": np.float32(2)}, r"label: .*2.0.*, expected a class in \[0, 2\], an integer"),
    "label_bool": ({"label": True}, r"label: True, expected a class in \[0, 2\], an integer"),
    "label_array": ({"label": np.array([1])}, r"label: array.*, expected a class in \[0, 2\], an integer"),
    "target_float": ({"target": 2.0}, r"target: 2.0, expected a class in \[0, 2\], an integer"),
    "x_float_array": ({"x": np.array([0.0, 1, 2])}, r"input: dtype float64, expected integers; network.input.quantize\(x\)"),
    "label_negative": ({"label": -1}, r"label: -1, expected a class in \[0, 2\]"),
    "label_too_large": ({"label": 3}, r"label: 3, expected a class in \[0, 2\]"),
    "label_float": ({"label": 0.0}, r"label: 0.0, expected a class in \[0, 2\]"),
    "label_between_classes": ({"label": 0.5}, r"label: 0.5, expected a class in \[0, 2\]"),
    "label_text": ({"label": "0"}, r"label: '?0'?, expected a class in \[0, 2\]"),
    "target_too_large": ({"target": 3}, r"target: 3, expected a class in \[0, 2\]"),
    "target_negative": ({"target": -1}, r"target: -1, expected a class in \[0, 2\]"),
    "x_float": ({"x": [0.0, 1.0, 2.0]}, "input: dtype float64, expected integers"),
    "x_short": ({"x": [1, 2]}, r"input: shape \(2,\), expected \(3,\)"),
    "x_none": ({"x": None}, "input: dtype object, expected integers"),
    "x_below": ({"x": [0, -1, 16]}, r"input: element 1 is -1, expected a value in \[0, 15\]"),
    "x_above": ({"x": [0, 15, 16]}, r"input: element 2 is 16, expected a value in \[0, 15\]"),
    "x_huge": ({"x": np.array([0, 1, 1 << 63], np.uint64)}, "input: values from 0 to 9223372036854775808, expected integers in"),
    "x_ragged": ({"x": [[1], [1, 2]]}, r"input: .*expected"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_robustness_fault(change, message):
    with pytest.raises(InputError, match=f"^{message}"):
        robustness(NETWORK, **{"x": [1, 2, 3], "eps": 1, "label": 1, **change})


def test_query_remembers_its_question():
    x = np.array([0, 7, 15], np.uint8)
    origin = robustness(NETWORK, x, np.int64(1), np.uint8(2), target=0, sample=5).origin
    assert (origin.kind, origin.values) == ("robustness", (("eps", 1), ("label", 2), ("target", 0), ("sample", 5)))
    assert json.loads(json.dumps(dict(origin.values))) == dict(origin.values)
    assert (origin.x.dtype, origin.x.tolist(), origin.x.flags.writeable) == (np.int64, [0, 7, 15], False)
    assert (origin.get("eps"), origin.get("nothing")) == (1, None)


def test_changed_query_has_another_question_or_none():
    query = robustness(NETWORK, [0, 7, 15], 1, 2)
    assert dataclasses.replace(query, boxes=query.boxes).origin is None
    assert pickle.loads(pickle.dumps(query)).origin.values == query.origin.values
