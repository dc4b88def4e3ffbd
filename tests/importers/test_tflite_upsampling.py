"""TRANSPOSE_CONV and RESIZE_BILINEAR: what is refused, whose kernel it is, and how few layers they are."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from oracles import TFLITE, differing
from tflite_builds import SHAPE, bilinear, transposed
from tflite_graphs import Graph
from tflite_operators import built

from qbitsat.errors import QbitsatError
from qbitsat.importers import load
from qbitsat.network import Convolution

KERNEL, STRIDES, SIZE = (3, 3), (2, 2), (16, 12)


def graph(build) -> Graph:
    g = Graph()
    x = g.input(SHAPE, 0.047, -9)
    g.graph.outputs = [build(g, x)]
    return g


def written(folder, g: Graph):
    path = folder / "network.tflite"
    path.write_bytes(g.pack())
    return path


def change(g: Graph, which: int) -> schema.TensorT:
    """An input of the first operator."""
    return g.graph.tensors[g.graph.operators[0].inputs[which]]


def replaced(which: int, *values: int):
    """A constant input becomes these integers."""

    def apply(g: Graph) -> None:
        g.graph.operators[0].inputs[which] = g.constant(values)

    return apply


def options(**values):
    return lambda g: vars(g.graph.operators[0].builtinOptions).update(values)


def zero_points(which: int, value: int):
    return lambda g: setattr(change(g, which).quantization, "zeroPoint", np.full(11, value))


TRANSPOSED = {
    "not SAME": (replaced(0, 1, 18, 12, 11), r"an output of \(1, 18, 12, 11\), of which a convolution makes \(9, 6\), expected \(8, 6\)"),
    "other channels": (replaced(0, 1, 16, 12, 10), r"an output of \(1, 16, 12, 10\), expected 1 images of 11 channels"),
    "rank": (replaced(0, 16, 12), r"an output of \(16, 12\), expected 1 images of 11 channels"),
    "nothing": (replaced(0, 1, -16, 12, 11), r"an output of \(1, -16, 12, 11\), expected 1 images"),
    "stride 0": (options(strideH=0), r"strides \(0, 2\) and dilation \(1, 1\), expected at least 1"),
    "padding": (options(padding=2), "padding 2, expected SAME or VALID"),
    "kernel beyond the output": (lambda g: (options(padding=1)(g), replaced(0, 1, 2, 12, 11)(g)), "a kernel that spans 3 of 2 cells"),
    "far strides": (options(strideH=1 << 30, strideW=1 << 30), r"of which a convolution makes \(1, 1\), expected \(8, 6\)"),
    "TANH": (options(fusedActivationFunction=4), "fused activation function TANH, expected NONE"),
    "zero points": (zero_points(1, 5), r"tensor 2 \('t2'\): zero points \[5, 5, 5\], expected 0"),
    "zero points of the bias": (zero_points(3, 5), r"tensor 3 \('t3'\): zero points \[5, 5, 5\], expected 0"),
    "no bias like that": (replaced(3, 1, 2), r"tensor 5 \('t5'\): shape \(2,\), expected \(11,\)"),
    "flat weights": (lambda g: setattr(change(g, 1), "shape", [11, 36]), r"shape \(11, 36\), expected \(outputs, height,"),
    "shape of floats": (lambda g: setattr(change(g, 0), "type", schema.TensorType.FLOAT32), "type FLOAT32, expected INT32"),
}  # fmt: skip
BILINEAR = {
    "both": (options(alignCorners=True, halfPixelCenters=True), "AlignCorners and HalfPixelCenters, which exclude each other"),
    "no place": (replaced(1, 16, 0), r"to \[16, 0\], expected an image, and a height and a width"),
    "one size": (replaced(1, 16), r"to \[16\], expected an image"),
    "huge": (replaced(1, 1 << 30, 1 << 30), "so many values"),
    "long": (replaced(1, 1 << 20, 1), "so many values|from 8 to 1048576 cells, expected fewer than 1048576"),
    "beyond": (replaced(1, 600, 12), "from 8 to 600 cells, where tflm reads beyond them"),
    "other size": (replaced(1, 16, 13), r"shape \(1, 16, 12, 4\), expected \(1, 16, 13, 4\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*TRANSPOSED, *BILINEAR])
def test_fault_is_one_line_with_its_place(tmp_path, name):
    apply, message = {**TRANSPOSED, **BILINEAR}[name]
    g = graph(transposed(KERNEL, STRIDES, SIZE) if name in TRANSPOSED else bilinear(SIZE))
    apply(g)
    path = written(tmp_path, g)
    with pytest.raises(QbitsatError, match=message) as error:
        load(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_dynamic_range_is_called_so(tmp_path):
    g = graph(transposed(KERNEL, STRIDES, SIZE))
    change(g, 2).type = schema.TensorType.FLOAT32
    with pytest.raises(QbitsatError, match="weights INT8, activations FLOAT32: dynamic range quantization is no integer network"):
        load(written(tmp_path, g))


@pytest.mark.parametrize("runtime", TFLITE)
def test_bias_without_scales_is_exact(tmp_path, runtime):
    """XNNPACK leaves it to LiteRT."""
    g = graph(transposed(KERNEL, STRIDES, SIZE))
    change(g, 3).quantization = None
    assert differing(tmp_path, g.pack(), runtime, np.random.default_rng(4).integers(-128, 128, (20, 1, *SHAPE))) == 0


def test_a_computed_size_is_refused_as_tflm_does(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(built("bilinear, computed size"))
    with pytest.raises(QbitsatError, match="a size that is computed, where tflm takes a constant"):
        load(path)


def test_what_xnnpack_refuses_is_refused(tmp_path):
    g = graph(transposed(KERNEL, STRIDES, SIZE))
    change(g, 3).quantization.scale = np.array([0.5], np.float32)
    change(g, 3).quantization.zeroPoint = np.array([0])
    with pytest.raises(QbitsatError, match=r"tensor 3 \('t3'\): 1 scales, expected 11 as the weights have"):
        load(written(tmp_path, g), runtime="xnnpack")
    g = graph(transposed(KERNEL, STRIDES, SIZE))
    g.graph.tensors[g.graph.outputs[0]].quantization.scale = np.array([2.0**-21], np.float32)
    with pytest.raises(QbitsatError, match=r"TRANSPOSE_CONV in xnnpack with a scale of .*, expected less than 256"):
        load(written(tmp_path, g), runtime="xnnpack")


@pytest.mark.parametrize(
    ("name", "layers", "weights"),
    [
        ("transposed, stride 1", 1, 15 * 4 * 11),
        ("transposed, side by side", 1, 4 * 4 * 11),
        ("transposed, gaps", 1, 6 * 4 * 8),
        ("transposed, stride 2", 4, 9 * 4 * 11),
    ],
)
def test_layers(tmp_path, name, layers, weights):
    """Phases that read the same cells are one convolution, and no weight is 0 for a gap."""
    path = tmp_path / "network.tflite"
    path.write_bytes(built(name))
    network = load(path)
    found = [layer for layer in network.layers if isinstance(layer, Convolution)]
    assert len(found) == layers
    assert sum(layer.weights.size for layer in found) == weights
    assert [layer.name for layer in network.layers if layer not in found] == (["constants_1"] if name == "transposed, gaps" else [])


def test_where_one_cell_has_all_weight_there_is_no_layer(tmp_path):
    g = graph(lambda g, x: g.conv(bilinear((4, 3))(g, x), 2, (1, 4, 3, 2)))
    assert [type(layer).__name__ for layer in load(written(tmp_path, g)).layers] == ["Convolution", "Convolution"]
