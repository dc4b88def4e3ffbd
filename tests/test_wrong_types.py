"""Arguments of another type than expected: each is an `InputError` of one short line that says what was expected."""

import sys
import threading

import numpy as np
import pytest
from certified import certify
from handmade import copying, whole_box

import qbitsat
from qbitsat import examples
from qbitsat.importers import load_inputs, load_labels
from qbitsat.properties import And, AtMost, Not, Or, Query, Ref, robustness
from qbitsat.properties.formula import TRUE

NETWORK = copying(2)
ATOM = AtMost(((1, Ref(0, "output", 0)),), 0)


def query() -> Query:
    return robustness(NETWORK, [3, 4], 1, 1)


WRONG = {
    "verify a network": (lambda: qbitsat.verify(NETWORK), "verify: query is of type Network, expected a Query"),
    "verify nothing": (lambda: qbitsat.verify(None), "verify: query is None, expected a Query"),
    "cancel": (lambda: qbitsat.verify(query(), cancel=True), "verify: cancel is True, expected a threading.Event"),
    "cancel by a class": (lambda: qbitsat.verify(query(), cancel=3), "verify: cancel is 3, expected a threading.Event"),
    "progress": (lambda: qbitsat.verify(query(), progress=3), "verify: progress is 3, expected a function of one Progress"),
    "save swapped": (lambda: qbitsat.save("x.npz", NETWORK), "save: network is 'x.npz', expected a Network, and then the name of a file"),
    "save nowhere": (lambda: qbitsat.save(NETWORK, 1), "path is 1, expected the name of a file"),
    "load a number": (lambda: qbitsat.load(5), "path is 5, expected the name of a file"),
    "load nothing": (lambda: qbitsat.load(None), "path is None, expected the name of a file"),
    "load an open file": (lambda: qbitsat.load(sys.stdin), "path is of type .*, expected the name of a file"),
    "inputs of an array": (lambda: load_inputs(np.zeros((1, 2)), NETWORK.input), "path is of type ndarray, expected the name of a file"),
    "labels of an array": (lambda: load_labels(np.zeros(1)), "path is of type ndarray, expected the name of a file"),
    "check a number": (lambda: qbitsat.check(0), "path is 0, expected the name of a file"),
    "check misspelt": (lambda: qbitsat.check("x", tiemout=3), "argument 'tiemout' is unknown; .*did you mean 'timeout'"),
    "check's time": (lambda: qbitsat.check("x", timeout="3"), "timeout is '3', expected a positive finite number"),
    "check's memory": (lambda: qbitsat.check("x", memory=-1), "memory is -1, expected a positive finite number"),
    "check's networks": (lambda: qbitsat.check("x", networks=3), "networks is 3, expected a tuple, each a Network or the name of a file"),
    "check's one network": (lambda: qbitsat.check("x", networks=[3]), "path is 3, expected the name of a file"),
    "sample by a word": (lambda: examples.sample("1"), r"sample is '1', expected an integer in \[0, 49\]"),
    "sample by a float": (lambda: examples.sample(1.0), r"sample is 1.0, expected an integer in \[0, 49\]"),
    "robustness of a path": (lambda: robustness("x.npz", [0], 1, 0), "robustness: network is 'x.npz', expected a Network"),
    "a part": (lambda: And((1,)), "query: a part of And is 1, expected AtMost, And, Or or Not"),
    "a part of parts": (lambda: Or(((ATOM, ATOM),)), "query: a part of Or is a tuple of AtMost, expected AtMost"),
    "parts one by one": (lambda: And(ATOM, ATOM), r"query: And of 2 arguments, expected one tuple of formulas, as in And\(\(a, b\)\)"),
    "one part": (lambda: Or(ATOM), "query: parts of Or are of type AtMost, expected a tuple of formulas"),
    "part of Not": (lambda: Not(True), "query: the part of Not is True, expected AtMost, And, Or or Not"),
    "tensor": (lambda: Ref(0, "outputs", 0), "query: the tensor of an element is 'outputs', expected 'input', 'output' or 'value'"),
    "tensor of a changed element": (
        lambda: AtMost(((1, Ref(0, "output", 0)._replace(tensor="outputs")),), 0),
        "query: the tensor of an element is 'outputs', expected 'input', 'output' or 'value'",
    ),
    "networks": (lambda: Query(NETWORK, (), TRUE), "query: networks are of type Network, expected a tuple, each of kind Network"),
    "boxes": (lambda: Query((NETWORK,), whole_box(NETWORK), TRUE), "query: boxes are of type Box, expected a tuple, each of kind Box"),
    "violation": (lambda: Query((NETWORK,), (whole_box(NETWORK),), (ATOM,)), "query: the formula has a part a tuple of AtMost"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_wrong_types_say_what_was_expected(call, message):
    with pytest.raises(qbitsat.InputError, match=f"^{message}") as caught:
        call()
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


def test_check_takes_one_network_as_it_is(tmp_path):
    _, certificate = certify(query(), tmp_path)
    path, other = tmp_path / f"{NETWORK.sha256}.npz", tmp_path / "other.npz"
    qbitsat.save(copying(3), other)
    for network in (NETWORK, path, str(path), [path], (NETWORK,)):
        assert qbitsat.check(certificate, network).accepted
    assert not qbitsat.check(certificate, other).accepted


def test_what_is_expected_is_taken():
    assert qbitsat.verify(query(), cancel=threading.Event(), progress=lambda progress: None).violated
