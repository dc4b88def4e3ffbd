"""Frozen means frozen: copies and pickles are read-only and hashed anew, wrong types end at construction, names can be written anywhere."""

import copy
import math
import os
import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from handmade import IDENTITY, copying, dense, one_layer, tensor, whole_box
from hypothesis import given
from hypothesis import strategies as st

from qbitsat.arithmetic import ShiftRequantizer
from qbitsat.errors import InputError
from qbitsat.network import Dense, Network, SparseRows, TensorFormat, forward, reference
from qbitsat.network.layers import frozen
from qbitsat.network.names import escape_path, printable, unescape_path
from qbitsat.properties import And, AtMost, Box, Or, Query, Ref, robustness
from qbitsat.properties.formula import TRUE
from qbitsat.properties.query import Origin

COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "old pickle": lambda value: pickle.loads(pickle.dumps(value, 0)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "replace": replace,
}
CACHED = {"sha256", "views"}


def network() -> Network:
    return one_layer([[1, -2], [3, 4]], [5, 6], ShiftRequantizer(1, "floor", 0, 15), tensor(2, 0, 15, 1))


def arrays_of(value: Network) -> list[np.ndarray]:
    """All arrays of a network, those computed from its layers among them."""
    layer = value.layers[0]
    names = ("start", "offset", "rows", "bias", "biases")
    return [layer.weights, layer.bias, *value.reads, *value.views, value.outputs, *(getattr(layer.affine, name) for name in names)]


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_copies_of_a_network_are_frozen_and_the_same(duplicate, warm):
    original = network()
    if warm:
        arrays_of(original)
        assert original.sha256
    twin = duplicate(original)
    for array in arrays_of(twin):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)
        assert isinstance(array.base, bytes), "a base could be written through"
    assert twin.sha256 == original.sha256
    x = np.array([[3, 9]])
    assert forward(twin, x).tolist() == [reference.run(twin, x[0].tolist())] == forward(original, x).tolist()


def test_pickles_carry_nothing_that_was_computed():
    value = network()
    cold = pickle.dumps(value)
    arrays_of(value)
    assert value.sha256
    assert pickle.dumps(value) == cold
    twin = pickle.loads(cold)
    assert not CACHED & {*vars(twin), *vars(twin.layers[0].affine)}


@pytest.mark.parametrize("duplicate", [COPIES["pickle"], copy.deepcopy], ids=["pickle", "deepcopy"])
def test_copies_of_a_query_are_frozen(duplicate):
    query = duplicate(robustness(copying(2), [3, 4], 2, 0))
    for array in (query.boxes[0].lo, query.boxes[0].hi, query.origin.x, query.networks[0].layers[0].weights):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert (query.origin.get("eps"), query.boxes[0].lo.tolist()) == (2, [1, 2])


def test_pickles_are_checked():
    wrong = Box.__reduce__(Box([1], [2]))[0], (np.array([3]), np.array([2]))
    with pytest.raises(InputError, match="lo <= hi"):
        wrong[0](*wrong[1])


def test_arrays_of_affine_maps_are_frozen_whoever_makes_them():
    indptr, weights = np.array([0, 1]), np.array([1, 2])[:1]
    affine = SparseRows(1, indptr, np.zeros(1, np.int32), weights, np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="read-only"):
        affine.weights[0] = 5
    weights.base[0] = 7
    assert affine.weights.tolist() == [1]


def test_frozen_views_are_copies():
    owner = np.arange(6).reshape(2, 3)
    for view in (owner[1], owner[:, :2], owner.T):
        array = frozen(view)
        before = array.tolist()
        owner += 1
        assert array.tolist() == before


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (3, 5), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32])
def test_frozen_arrays_are_the_same_numbers_for_good(shape, dtype):
    owner = np.arange(math.prod(shape)).reshape(shape, order="F").astype(dtype)
    array = frozen(owner)
    assert (array.shape, array.dtype, array.tolist()) == (shape, dtype, owner.tolist())
    assert array.flags.c_contiguous
    assert array.flags.aligned
    assert frozen(array) is array
    for view in (array, array[...], array.reshape(-1), array.view()):
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.setflags(write=True)
    owner[...] = 7
    assert 7 not in array.reshape(-1)[1:4]


def test_arrays_that_were_given_stay_writable_and_are_not_used():
    weights, bias, lo = np.ones((1, 1), np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64)
    value, box, origin = Network((layer(weights=weights, bias=bias),)), Box(lo, lo), Origin("robustness", (), lo)
    before = value.sha256
    weights[:], bias[:], lo[:] = 5, 6, 7
    assert replace(value).sha256 == before
    assert box.lo.tolist() == box.hi.tolist() == origin.x.tolist() == [0]


def test_inputs_of_a_question_can_not_be_made_writable():
    query = robustness(copying(2), np.array([[3, 4]]), 2, 0)
    for array in (query.boxes[0].lo, query.boxes[0].hi, query.origin.x):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


@pytest.mark.parametrize("name", ["weights", "bias", "name", "requantizers"])
def test_fields_can_not_be_set(name):
    with pytest.raises(FrozenInstanceError):
        setattr(network().layers[0], name, None)


# --- types ---


def layer(**changes) -> Dense:
    fields = {"name": "d", "input": tensor(1), "output": tensor(1, IDENTITY.lo, IDENTITY.hi), "requantizers": (IDENTITY,), "weights": [[1]],
              "bias": [0], **changes}  # fmt: skip
    return Dense(**fields)


def test_lists_and_single_requantizers_become_tuples():
    assert layer(requantizers=[IDENTITY]).requantizers == (IDENTITY,) == layer(requantizers=IDENTITY).requantizers
    parts = [layer()]
    value = Network(parts)
    parts.append(None)
    assert value.layers == tuple(parts[:1])
    assert Network((layer(),), remarks=["word"]).notes == ("word",)
    query = Query([Network((layer(),))], [Box([1], [2])], TRUE)
    assert (type(query.networks), type(query.boxes), TensorFormat([2, 3], 0, 1).shape) == (tuple, tuple, (2, 3))


WRONG_TYPES = {
    "requantizers of words": (lambda: layer(requantizers="shift"), "layer 'd': requantizers are 'shift', expected a tuple of requantizers"),
    "requantizers of other things": (lambda: layer(requantizers=(IDENTITY, None)), "layer 'd': requantizers are"),
    "a set of requantizers": (lambda: layer(requantizers={IDENTITY}), "layer 'd': requantizers are"),
    "an iterator of requantizers": (lambda: layer(requantizers=iter([IDENTITY])), "layer 'd': requantizers are"),
    "input": (lambda: layer(input=(2,)), r"layer 'd': input is a tuple of int, expected a TensorFormat"),
    "output": (lambda: layer(output=None), "layer 'd': output is None, expected a TensorFormat"),
    "layer name": (lambda: layer(name=3), "layer: name 3, expected a string"),
    "layers of arrays": (lambda: Network((np.zeros(1, int),)), "network .network.: layers are .*expected a tuple, each of kind Layer"),
    "an array of layers": (lambda: Network(np.zeros((2, 2), int)), "network 'network': layers are"),
    "a layer": (lambda: Network(layer()), "network 'network': layers are"),
    "network name": (lambda: Network((layer(),), None), "network: name None, expected a string"),
    "network source": (lambda: Network((layer(),), "n", 5), "network 'n': source is 5, expected the name of a file"),
    "network remarks": (
        lambda: Network((layer(),), "n", "", "note"),
        "network 'n': remarks are 'note', expected a tuple, each of kind str",
    ),
    "networks of a query": (lambda: Query(copying(1), (), TRUE), "query: networks are"),
    "boxes of a query": (lambda: Query((copying(1),), ((0, 1),), TRUE), "query: boxes are .*each of kind Box"),
    "formula of a query": (lambda: Query((copying(1),), (whole_box(copying(1)),), True), "query: the formula has a part True"),
    "tensor of an element": (lambda: Ref(0, 1, 0), "query: the tensor of an element is 1, expected 'input', 'output' or 'value'"),
    "network of an element": (lambda: Ref("0", "input", 0), "query: the network of an element is '0', expected an integer"),
    "index of an element": (lambda: Ref(0, "input", 1.0), "query: the index of an element is 1.0, expected an integer"),
    "coefficient": (lambda: AtMost(((True, Ref(0, "input", 0)),), 0), "query: inequality with terms .*expected an integer everywhere"),
    "bound": (lambda: AtMost((), 1.0), "query: inequality .* bound 1.0, expected an integer everywhere"),
    "parts": (lambda: And(3), "query: parts of And are 3, expected a tuple of formulas"),
    "parts of Or": (lambda: Query((copying(1),), (whole_box(copying(1)),), Or("a")), "query: a part of Or is 'a', expected AtMost"),
    "box": (lambda: Box([0.5], [1]), "box: lo: dtype float64, expected integers"),
    "scale": (lambda: TensorFormat((1,), 0, 1, True), "tensor: scale is True, expected a positive finite number"),
}


@pytest.mark.parametrize(("make", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_wrong_types_are_refused_at_construction(make, message):
    with pytest.raises(InputError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64])
def test_numpy_integers_are_as_good_as_ints(kind):
    one, two = kind(1), kind(2)
    form = TensorFormat((two,), one, kind(9), np.float32(0.5), one)
    assert form == TensorFormat((2,), 1, 9, 0.5, 1)
    requantizer = ShiftRequantizer(two, "floor", one, kind(9), offset=one)
    assert requantizer == ShiftRequantizer(2, "floor", 1, 9, "saturate", 1)
    fields = (*form.shape, form.lo, form.hi, form.zero_point, requantizer.shift, requantizer.lo, requantizer.hi, requantizer.offset)
    assert {type(value) for value in fields} == {int}
    assert AtMost(((two, Ref(kind(0), "output", one)),), two) == AtMost(((2, Ref(0, "output", 1)),), 2)
    value = Network((dense(np.eye(2, dtype=kind), requantizers=requantizer, form=form),))
    assert value.sha256 == Network((dense(np.eye(2, dtype=int), requantizers=requantizer, form=TensorFormat((2,), 1, 9, 0.5, 1)),)).sha256
    query = robustness(value, np.array([two, two]), one, kind(0), one, sample=two)
    assert [query.origin.get(name) for name in ("eps", "label", "target", "sample")] == [1, 0, 1, 2]


# --- names ---

NASTY = ["\t", "\n", "\0", "\x1b[31m", "\u00a0", "\u00ad", "\u200d", "\u202e", "\u2028", "\ufeff", "\udcff", "\ud800", "\U000e0001"]


@pytest.mark.parametrize("character", NASTY, ids=ascii)
def test_names_that_no_file_can_hold_are_refused(character):
    for make in (lambda: layer(name=f"a{character}b"), lambda: Network((layer(),), f"a{character}b")):
        with pytest.raises(InputError, match=r"^(layer|network): name 'a.*b', expected printable characters; character 1 is") as caught:
            make()
        assert str(caught.value).isascii()


@pytest.mark.parametrize("name", ["", "a b", "Größe", "网络", "µ/\\'\"%", "🙂"])
def test_names_that_can_be_printed_are_taken(name):
    assert Network((layer(name=name),), name).name == name


@given(st.text(st.characters(codec=None)))
def test_printable_text_is_printable_and_itself_where_it_was(text):
    assert printable(text).isprintable()
    assert printable(text) == text or not text.isprintable()


@given(st.binary(max_size=30) | st.text(st.sampled_from("a%\t\u00a0\u00ad\u200d\n/.é41"), max_size=8).map(os.fsencode))
def test_escaped_paths_come_back(name):
    path = os.fsdecode(name)
    text = escape_path(path)
    assert text.isprintable()
    assert unescape_path(text) == path


def test_ordinary_paths_stay_as_they_are():
    assert escape_path("/home/müller/net works/a-b_c.npz") == "/home/müller/net works/a-b_c.npz"
    assert escape_path("50%\u00a0\udcff.npz") == "50%25%C2%A0%FF.npz"


def test_source_that_no_file_system_knows_is_refused():
    with pytest.raises(InputError, match="expected a file name that can be encoded as utf-8"):
        Network((layer(),), "n", "\ud800")


# --- zero points ---


def test_zero_point_that_no_requantizer_adds_is_noted():
    form = TensorFormat((1,), -128, 127, 1.0, -5)
    plain = Network((layer(output=form, requantizers=(ShiftRequantizer(3, "half_up", -128, 127),)),))
    assert plain.notes == (
        "layer d: the output's zero point is -5, but its requantizers add no offset, so an accumulator of 0 does not give it; "
        "TensorFormat.requantizer sets both",
    )
    assert replace(plain, name="other").notes == plain.notes
    mended = (layer(output=form, requantizers=form.requantizer(3, "half_up")),)
    assert Network(mended).notes == replace(plain, layers=mended).notes == ()


def test_requantizer_of_a_format_has_its_range_and_its_zero_point():
    form = TensorFormat((1,), -128, 127, 0.5, 7)
    assert form.requantizer(4, "half_even") == ShiftRequantizer(4, "half_even", -128, 127, "saturate", 7)
    assert form.requantizer(4, "floor", "wrap", bias=-3) == ShiftRequantizer(4, "floor", -128, 127, "wrap", 4)
    assert form.requantizer(4, "half_even").apply(0) == form.zero_point


# --- real values ---


def test_quantize_rounds_half_to_even_and_adds_the_zero_point():
    form = TensorFormat((4,), -4, 4, 0.5, 1)
    assert form.quantize([0.25, 0.75, -0.25, -2.4]).tolist() == [1, 3, 1, -4]
    assert form.quantize(np.float32([[1.0]]), scale=1).tolist() == [[2]]
    assert form.quantize(np.array([1], np.int8)).dtype == np.int64
    pixels = np.arange(256) / np.float32(255)
    assert TensorFormat((256,), 0, 255, 1 / 255).quantize(pixels).tolist() == list(range(256))


@pytest.mark.parametrize(
    ("x", "scale", "message"),
    [
        ([0.0, 1.0], None, r"element \[1\] is 1.0, which is the integer 256 at a scale of 0.00390625 a step, expected one in \[0, 255\]"),
        ([[0.0, -1.0]], 1, r"element \[0, 1\] is -1.0, which is the integer -1 at a scale of 1 a step"),
        ([float("nan")], None, r"element \[0\] is nan, expected a finite number"),
        ([1e300], None, r"element \[0\] is 1e\+300, which is the integer"),
        ([float("-inf")], None, r"element \[0\] is -inf, expected a finite number"),
        (["1"], None, "quantize: dtype <U1, expected numbers"),
        ([0.5], 0, "quantize: scale is 0, expected a positive finite number"),
        ([0.5], float("nan"), "quantize: scale is nan, expected a positive finite number"),
        ([0.5], "network", "quantize: scale is 'network', expected a positive finite number"),
    ],
)
def test_real_values_without_an_integer_are_refused(x, scale, message):
    with pytest.raises(InputError, match=f"^{message}"):
        TensorFormat((2,), 0, 255, 2.0**-8).quantize(x, scale)
