"""Layers: the affine map of compressed rows, requantizers by channel, what is refused, and that records are frozen."""

from dataclasses import replace

import numpy as np
import pytest
from handmade import IDENTITY, dense, one_layer, tensor

from qbitsat.arithmetic import ROUNDINGS, ShiftRequantizer
from qbitsat.errors import InputError, UnsupportedError
from qbitsat.network import AffineMap, Dense, Patches, SparseRows
from qbitsat.network.layers import ACC_LIMIT, integer_array

MATRIX = np.array([[0, 0, 0], [5, 0, -2], [0, 0, 0], [0, 7, 0], [0, 0, 0]])
INT31 = (1 << 31) - 1


def matrix_of(affine: AffineMap) -> np.ndarray:
    result = np.zeros((affine.n_out, affine.n_in), np.int64)
    for i in range(affine.n_out):
        indices, weights = affine.row(i)
        result[i, indices] = weights
    return result


def test_affine_rows_are_the_matrix():
    affine = SparseRows.of_matrix(MATRIX, np.arange(5))
    assert matrix_of(affine).tolist() == MATRIX.tolist()


def test_affine_has_no_explicit_zeros():
    affine = SparseRows.of_matrix(MATRIX, np.arange(5))
    assert (affine.indptr.tolist(), affine.indices.tolist(), affine.weights.tolist()) == ([0, 0, 2, 2, 3, 3], [0, 2, 1], [5, -2, 7])


def test_affine_types_are_those_of_the_kernels():
    rows, patches = SparseRows.of_matrix(MATRIX, np.arange(5)), Patches.dense(MATRIX, np.arange(5))
    assert [a.dtype for a in (rows.indptr, rows.indices, rows.weights, rows.bias)] == [np.int64, np.int32, np.int32, np.int64]
    assert [a.dtype for a in (patches.start, patches.offset, patches.rows, patches.bias)] == [np.int32, np.int32, np.int32, np.int64]


@pytest.mark.parametrize("zero_point", [-2, 0, 3, 15, INT31])
def test_dense_affine_computes_on_values_less_the_zero_point(zero_point):
    layer = dense(MATRIX, [1, 2, 3, 4, 5], form=tensor(3, 0, 15, zero_point))
    for x in ([0, 0, 0], [15, 0, 7], [1, 2, 3]):
        expected = [sum(int(w) * (v - zero_point) for w, v in zip(row, x, strict=True)) for row in MATRIX]
        assert (matrix_of(layer.affine) @ x + layer.affine.biases - [1, 2, 3, 4, 5]).tolist() == expected


@pytest.mark.parametrize("name", ["weights", "bias"])
def test_dense_arrays_are_read_only_copies(name):
    source = {"weights": np.array([[1, 2]]), "bias": np.array([3])}
    layer = Dense("d", tensor(2), tensor(1, IDENTITY.lo, IDENTITY.hi), (IDENTITY,), **source)
    source[name][...] = 9
    kept = getattr(layer, name)
    assert kept.tolist() == {"weights": [[1, 2]], "bias": [3]}[name]
    with pytest.raises(ValueError, match="read-only"):
        kept[...] = 0


@pytest.mark.parametrize("name", ["start", "offset", "rows", "bias", "biases"])
def test_affine_arrays_are_read_only(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(dense(MATRIX).affine, name)[...] = 0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_dense_takes_any_integer_type(dtype):
    layer = dense(np.array([[1, 100]], dtype), np.array([127], dtype))
    assert (layer.weights.dtype, layer.weights.tolist(), layer.bias.tolist()) == (np.int64, [[1, 100]], [127])


CHANNELS = tuple(ShiftRequantizer(k, rounding, 0, 15, "saturate", 5 - k) for k, rounding in enumerate(ROUNDINGS[:3]))


def test_requantize_each_channel_has_its_own():
    layer = dense(np.ones((3, 1), np.int64), requantizers=CHANNELS)
    acc = np.array([[-7, -7, -7], [3, 3, 3], [9, 9, 9], [1000, 1000, 1000]])
    assert layer.requantize(acc).tolist() == [[r.apply(a) for r, a in zip(CHANNELS, row, strict=True)] for row in acc.tolist()]
    assert layer.requantize(acc[1]).tolist() == [r.apply(3) for r in CHANNELS]


def test_requantize_repeats_along_the_last_axis():
    layer = dense(np.ones((3, 1), np.int64), requantizers=CHANNELS)
    assert layer.requantize(np.arange(8, 14)).tolist() == [layer.requantizer(i).apply(8 + i) for i in range(6)]


def test_requantize_leaves_accumulators_alone():
    layer = dense(np.ones((3, 1), np.int64), requantizers=CHANNELS)
    acc = np.array([1, 2, 300])
    layer.requantize(acc)
    assert acc.tolist() == [1, 2, 300]


def test_requantizer_repeats_along_the_last_axis():
    layer = dense(np.ones((3, 1), np.int64), requantizers=CHANNELS)
    assert [layer.requantizer(i) for i in range(6)] == [*CHANNELS, *CHANNELS]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_layer_wrong_number_of_requantizers(count):
    with pytest.raises(InputError, match=f"layer 'd': {count} requantizers, expected 1 or 3"):
        Dense("d", tensor(1), tensor(3), (CHANNELS * 2)[:count], np.ones((3, 1), np.int64), np.zeros(3, np.int64))


@pytest.mark.parametrize(("lo", "hi"), [(0, 14), (0, 16), (-1, 15), (1, 15)])
def test_layer_output_format_other_than_requantizers(lo, hi):
    with pytest.raises(InputError, match=rf"layer 'd': requantizers give \[0, 15\], the output format says \[{lo}, {hi}\]"):
        Dense("d", tensor(1), tensor(3, lo, hi), CHANNELS, np.ones((3, 1), np.int64), np.zeros(3, np.int64))


FAULTS = [
    ({"weights": np.ones((2, 2))}, "weights: dtype float64, expected integers"),
    ({"weights": np.ones((2, 2), bool)}, "weights: dtype bool, expected integers"),
    ({"weights": np.array([[1, None], [2, 3]])}, "weights: dtype object, expected integers"),
    ({"weights": np.ones((3, 2), int)}, r"weights: shape \(3, 2\), expected \(2, 2\)"),
    ({"weights": np.ones(4, int)}, r"weights: shape \(4,\), expected \(2, 2\)"),
    ({"weights": np.full((2, 2), 1 << 31)}, "weights: values from .* expected integers in \\[-2147483647, 2147483647\\]"),
    ({"weights": np.full((2, 2), -(1 << 31))}, "weights: values from .* expected integers in \\[-2147483647, 2147483647\\]"),
    ({"weights": np.full((2, 2), -(1 << 63))}, "weights: values from .* expected integers in \\[-2147483647, 2147483647\\]"),
    ({"weights": np.full((2, 2), (1 << 64) - 1, np.uint64)}, "weights: values from .* expected integers in \\[-2147483647, 2147483647\\]"),
    ({"bias": np.zeros(2)}, "bias: dtype float64, expected integers"),
    ({"bias": np.zeros(3, int)}, r"bias: shape \(3,\), expected \(2,\)"),
    ({"bias": np.array([0, 1 << 59])}, "bias: values from 0 to 576460752303423488, expected integers in"),
    ({"output": replace(tensor(2), shape=(1, 2))}, r"output shape \(1, 2\), expected one axis"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS, ids=[message[:40] for _, message in FAULTS])
def test_dense_fault(change, message):
    requantizers = (ShiftRequantizer(0, "floor", 0, 15),)
    fields = {"input": tensor(2), "output": tensor(2), "weights": np.ones((2, 2), int), "bias": np.zeros(2, int), **change}
    with pytest.raises(InputError, match=f"^layer 'd': {message}"):
        Dense("d", requantizers=requantizers, **fields)


@pytest.mark.parametrize("weights", [[[1], [1, 2]]])
def test_dense_ragged_weights(weights):
    with pytest.raises(InputError, match=r"layer 'd': weights: .*expected"):
        Dense("d", tensor(2), tensor(2), (ShiftRequantizer(0, "floor", 0, 15),), weights, np.zeros(2, int))


def at_reach(reach: int, shift: int = 0) -> Dense:
    """One neuron whose accumulator can reach exactly `reach`: (2**31 - 1) * (2**28 + 1) from its weight, the rest from its bias."""
    weight, largest = (1 << 28) + 1, INT31
    requantizer = ShiftRequantizer(shift, "floor", 0, 15)
    return dense([[weight]], [reach - weight * largest], requantizer, tensor(1, 0, largest))


def test_accumulator_just_inside_the_exact_range():
    layer = at_reach(ACC_LIMIT - 1)
    assert int(layer.affine.row(0)[1][0]) * INT31 + int(layer.affine.biases[0]) == ACC_LIMIT - 1


def test_accumulator_just_beyond_the_exact_range():
    with pytest.raises(UnsupportedError, match=rf"^layer 'dense': accumulator of output 0 can reach {ACC_LIMIT}, beyond .* 2\*\*60"):
        at_reach(ACC_LIMIT)


def test_accumulator_beyond_the_exact_range_names_the_output():
    with pytest.raises(UnsupportedError, match="accumulator of output 2 can reach"):
        dense([[0], [1], [INT31], [0]], form=tensor(1, 0, INT31))


def test_accumulator_of_many_large_weights():
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        dense(np.full((1, 9), 1 << 28), form=tensor(9, 0, INT31))


def test_accumulator_counts_weights_that_cancel():
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        dense([[INT31, -INT31]], form=tensor(2, 0, INT31))


def test_accumulator_after_a_shift_to_the_left():
    requantizer = ShiftRequantizer(-56, "floor", 0, 15)
    assert dense([[1]], requantizers=requantizer, form=tensor(1, 0, 15)).affine.n_out == 1
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        dense([[1]], requantizers=requantizer, form=tensor(1, 0, 16))


def test_accumulator_after_a_shift_to_the_left_in_one_channel():
    requantizers = (ShiftRequantizer(0, "floor", 0, 15), ShiftRequantizer(-57, "floor", 0, 15))
    with pytest.raises(UnsupportedError, match="output 1 can reach"):
        dense([[1], [1]], requantizers=requantizers, form=tensor(1, 0, 15))


def test_accumulator_of_an_output_without_weights_is_its_bias():
    layer = dense([[0], [(1 << 28) + 1], [0]], [(1 << 59) - 1, 0, 1 - (1 << 59)], form=tensor(1, 0, INT31))
    assert layer.affine.biases.tolist() == [(1 << 59) - 1, 0, 1 - (1 << 59)]


def test_accumulator_of_a_negative_input_end():
    with pytest.raises(UnsupportedError, match="beyond the exact range"):
        dense([[INT31]], form=tensor(1, -INT31, 0))


def test_zero_point_that_takes_the_bias_out_of_the_exact_range():
    with pytest.raises(UnsupportedError, match="layer 'dense': bias less zero point times weights leaves the exact range"):
        dense([[INT31]], form=tensor(1, 0, 1, INT31))


def test_integer_array_of_nothing():
    assert integer_array(np.zeros((0, 3), np.int8), (0, 3), 0, 1, "nothing").shape == (0, 3)


def test_wrap_above_bit_62_is_refused():
    with pytest.raises(UnsupportedError, match="wrap-around at bit 55"):
        one_layer([[1]], None, ShiftRequantizer(55, "floor", -128, 127, "wrap"), tensor(1))
    one_layer([[1]], None, ShiftRequantizer(54, "floor", -128, 127, "wrap"), tensor(1))
