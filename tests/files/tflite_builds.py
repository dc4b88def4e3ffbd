"""Operators of .tflite files on an input of 8 x 6 x 4, each a function that adds them to a graph and gives its output."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_graphs import Graph

SHAPE = (1, 8, 6, 4)


def pads_around_a_convolution(g: Graph, x: int) -> int:
    """PAD, then a convolution without padding: it becomes the convolution's own."""
    y = g.operator("PAD", [x, g.constant([[0, 0], [1, 2], [0, 1], [0, 0]])], [g.like(x, (1, 11, 7, 4))], schema.PadOptionsT())[0]
    return g.conv(y, 5, (1, 5, 3, 5), stride=2, same=False)


def channels_padded(g: Graph, x: int) -> int:
    y = g.operator("PAD", [x, g.constant([[0, 0], [0, 0], [0, 0], [1, 3]])], [g.like(x, (1, 8, 6, 8))], schema.PadOptionsT())[0]
    return g.conv(y, 3, (1, 8, 6, 3))


def dead_channels(g: Graph, x: int) -> int:
    """Channels without weights, whose constant is, and is not, the zero point of what comes next."""
    rng = np.random.default_rng(5)
    weights = rng.integers(-127, 128, (6, 3, 3, 4))
    weights[[1, 3, 4]] = 0
    bias = np.array([100, -(1 << 24), 200, 9000, 1 << 24, -300])
    y = g.conv(x, 6, (1, 8, 6, 6), weights=weights, bias=bias)
    return g.conv(y, 4, (1, 4, 3, 4), stride=2)


def dead_depthwise(g: Graph, x: int) -> int:
    weights = np.zeros((6, 1, 1, 4), np.int64)
    weights[[0, 2]] = 50
    y = g.conv(x, 6, (1, 8, 6, 6), kernel=(1, 1), weights=weights, bias=np.array([1, 9999, 2, 1 << 28, -(1 << 28), 3]))
    rng = np.random.default_rng(6)
    inputs = [y, g.constant(rng.integers(-127, 128, (1, 3, 3, 12)), np.full(12, 0.01), axis=3, dtype=np.int8)]
    inputs.append(g.constant(rng.integers(-999, 999, 12), np.full(12, 0.01) * g.scale(y)))
    options = schema.DepthwiseConv2DOptionsT(
        padding=0, strideW=1, strideH=1, depthMultiplier=2, dilationWFactor=1, dilationHFactor=1, fusedActivationFunction=1
    )
    z = g.operator("DEPTHWISE_CONV_2D", inputs, [g.tensor((1, 8, 6, 12), 0.08, -20)], options, 3)[0]
    return g.conv(z, 3, (1, 8, 6, 3), kernel=(1, 1))


def dilated(g: Graph, x: int) -> int:
    y = g.conv(x, 3, (1, 8, 6, 3))
    g.graph.operators[-1].builtinOptions.dilationWFactor = 2
    g.graph.operators[-1].builtinOptions.dilationHFactor = 3
    return y


def grouped(g: Graph, x: int) -> int:
    """Two groups of two channels each."""
    rng = np.random.default_rng(11)
    return g.conv(x, 6, (1, 8, 6, 6), weights=rng.integers(-127, 128, (6, 3, 3, 2)))


def depthwise(multiplier: int, channels: int = 4, kernel=(3, 5), stride: int = 2, shape=(1, 4, 3)):
    def build(g: Graph, x: int) -> int:
        rng, n_out = np.random.default_rng(12), channels * multiplier
        scales = rng.uniform(0.002, 0.01, n_out).astype(np.float32)
        weights = g.constant(rng.integers(-127, 128, (1, *kernel, n_out)), scales, axis=3, dtype=np.int8)
        inputs = [x, weights, g.constant(rng.integers(-2000, 2000, n_out), g.scale(x) * scales)]
        options = schema.DepthwiseConv2DOptionsT(
            padding=0, strideW=stride, strideH=stride, depthMultiplier=multiplier, dilationWFactor=1, dilationHFactor=1
        )
        return g.operator("DEPTHWISE_CONV_2D", inputs, [g.tensor((*shape, n_out), 0.05, 12)], options, 3)[0]

    return build


def bare_bias(kind: str):
    """A bias without scales, which XNNPACK leaves to LiteRT."""

    def build(g: Graph, x: int) -> int:
        rng, n_out, axis = np.random.default_rng(14), 8, 3 if kind == "DEPTHWISE_CONV_2D" else 0
        shape = {"CONV_2D": (n_out, 3, 3, 4), "DEPTHWISE_CONV_2D": (1, 3, 3, n_out), "FULLY_CONNECTED": (n_out, 4)}[kind]
        weights = g.constant(rng.integers(-127, 128, shape), rng.uniform(0.002, 0.01, n_out), axis=axis, dtype=np.int8)
        steps = {"padding": 0, "strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
        if kind == "FULLY_CONNECTED":
            options = schema.FullyConnectedOptionsT(keepNumDims=True)
        elif kind == "CONV_2D":
            options = schema.Conv2DOptionsT(**steps)
        else:
            options = schema.DepthwiseConv2DOptionsT(depthMultiplier=2, **steps)
        inputs = [x, weights, g.constant(rng.integers(-2000, 2000, n_out))]
        return g.operator(kind, inputs, [g.tensor((1, 8, 6, n_out), 0.07, 12)], options, 12 if kind == "FULLY_CONNECTED" else 3)[0]

    return build


def pads_with_a_constant(g: Graph, x: int) -> int:
    inputs = [x, g.constant([[0, 0], [1, 0], [0, 2], [0, 0]]), g.constant(33, 0.047, -9, dtype=np.int8)]
    y = g.operator("PADV2", inputs, [g.like(x, (1, 9, 8, 4))], schema.PadV2OptionsT())[0]
    return g.conv(y, 3, (1, 7, 6, 3), same=False)


def pool(kind: str, same: bool, size: int, stride: int, shape, fused: int = 0):
    def build(g: Graph, x: int) -> int:
        options = schema.Pool2DOptionsT(
            padding=0 if same else 1, strideW=stride, strideH=stride, filterWidth=size, filterHeight=size, fusedActivationFunction=fused
        )
        return g.operator(kind, [x], [g.like(x, shape)], options, 2)[0]

    return build


def reduction(kind: str, axes, shape, keep: bool = False, same: bool = False, scale: float = 0.03):
    def build(g: Graph, x: int) -> int:
        y = g.like(x, shape) if same else g.tensor(shape, scale, 7)
        return g.operator(kind, [x, g.constant(axes)], [y], schema.ReducerOptionsT(keepDims=keep), 2)[0]

    return build


def binary(kind: str, constant_shape=None, fused: int = 0, swapped: bool = False):
    """An operator of two tensors: of the input and a convolution of it, or of the input and a constant."""

    def build(g: Graph, x: int) -> int:
        if constant_shape is None:
            y = g.conv(x, 4, (1, 8, 6, 4))
        else:
            y = g.constant(np.random.default_rng(7).integers(-128, 128, constant_shape), 0.021, 5, dtype=np.int8)
        options = getattr(schema, f"{kind.title()}OptionsT")(fusedActivationFunction=fused)
        return g.operator(kind, [y, x] if swapped else [x, y], [g.tensor((1, 8, 6, 4), 0.06, -11)], options, 2)[0]

    return build


def extremum(kind: str):
    def build(g: Graph, x: int) -> int:
        y = g.operator("TRANSPOSE", [x, g.constant([0, 2, 1, 3])], [g.like(x, (1, 6, 8, 4))], schema.TransposeOptionsT())[0]
        y = g.operator("RESHAPE", [y, g.constant([1, 8, 6, 4])], [g.like(x, (1, 8, 6, 4))], schema.ReshapeOptionsT(newShape=[1, 8, 6, 4]))[
            0
        ]
        return g.operator(kind, [x, y], [g.like(x, (1, 8, 6, 4))], schema.MaximumMinimumOptionsT())[0]

    return build


def unary(kind: str, scale: float = 0.05, zero_point: int = 0, options=None, version: int = 1):
    def build(g: Graph, x: int) -> int:
        return g.operator(kind, [x], [g.tensor((1, 8, 6, 4), scale, zero_point)], options, version)[0]

    return build


def root(kind: str, scale: float):
    """Of what a RELU leaves, which is not negative."""

    def build(g: Graph, x: int) -> int:
        y = g.operator("RELU", [x], [g.tensor(SHAPE, 0.045, -90)])[0]
        return g.operator(kind, [y], [g.tensor(SHAPE, scale, -128)])[0]

    return build


def floats(*steps):
    """DEQUANTIZE, operators of floats, and QUANTIZE, on fewer than all of a last vector; a step is (kind, its other operands, options)."""

    def build(g: Graph, x: int) -> int:
        shape = (1, 7, 3, 1)
        y = g.operator("SLICE", [x, g.constant([0] * 4), g.constant(shape)], [g.like(x, shape)], schema.SliceOptionsT())[0]
        y = g.operator("DEQUANTIZE", [y], [g.tensor(shape, dtype=np.float32)], schema.DequantizeOptionsT(), 2)[0]
        for kind, *operands, options in steps:
            inputs = [y, *(y if operand is None else g.constant(operand, dtype=np.float32) for operand in operands)]
            y = g.operator(kind, inputs, [g.tensor(shape, dtype=np.float32)], options)[0]
        y = g.operator("QUANTIZE", [y], [g.tensor(shape, 0.0193, 3)], schema.QuantizeOptionsT())[0]
        return g.conv(y, 3, (1, 7, 3, 3))

    return build


def floats_that_move(g: Graph, x: int) -> int:
    """Floats taken apart, some of them squared, and put together with constants, each part with scales of its own."""
    y = g.operator("DEQUANTIZE", [x], [g.tensor(SHAPE, dtype=np.float32)], schema.DequantizeOptionsT(), 2)[0]
    parts = [g.tensor((1, 4, 6, 4), dtype=np.float32) for _ in range(2)]
    g.operator("SPLIT", [g.constant(1), y], [*parts], schema.SplitOptionsT(numSplits=2))
    parts[1] = g.operator("SQUARE", parts[1:], [g.tensor((1, 4, 6, 4), dtype=np.float32)], schema.SquareOptionsT())[0]
    parts.append(g.constant(np.linspace(-3, 3, 72).reshape(1, 3, 6, 4), dtype=np.float32))
    y = g.operator("CONCATENATION", parts, [g.tensor((1, 11, 6, 4), dtype=np.float32)], schema.ConcatenationOptionsT(axis=1))[0]
    y = g.operator("TRANSPOSE", [y, g.constant([0, 2, 1, 3])], [g.tensor((1, 6, 11, 4), dtype=np.float32)], schema.TransposeOptionsT())[0]
    rows = [g.tensor((1, 11, 4), dtype=np.float32) for _ in range(6)]
    g.operator("UNPACK", [y], rows, schema.UnpackOptionsT(num=6, axis=1))
    y = g.operator("PACK", rows[::-2], [g.tensor((1, 3, 11, 4), dtype=np.float32)], schema.PackOptionsT(valuesCount=3, axis=1))[0]
    parts = [y, g.constant([0, 0, 1, 0]), g.constant([1, 3, -1, 3])]
    y = g.operator("SLICE", parts, [g.tensor((1, 3, 10, 3), dtype=np.float32)], schema.SliceOptionsT())[0]
    y = g.operator("QUANTIZE", [y], [g.tensor((1, 3, 10, 3), 0.081, -20)], schema.QuantizeOptionsT())[0]
    return g.conv(y, 3, (1, 3, 10, 3))


def floats_with_borders(g: Graph, x: int) -> int:
    """A function of floats with zeros around, and another number around these."""
    y = g.operator("DEQUANTIZE", [x], [g.tensor(SHAPE, dtype=np.float32)], schema.DequantizeOptionsT(), 2)[0]
    y = g.operator("ABS", [y], [g.tensor(SHAPE, dtype=np.float32)])[0]
    y = g.operator(
        "PAD", [y, g.constant([[0, 0], [1, 0], [2, 1], [0, 0]])], [g.tensor((1, 9, 9, 4), dtype=np.float32)], schema.PadOptionsT()
    )[0]
    inputs = [y, g.constant([[0, 0], [0, 2], [0, 0], [0, 0]]), g.constant(-1.3, dtype=np.float32)]
    y = g.operator("PADV2", inputs, [g.tensor((1, 11, 9, 4), dtype=np.float32)], schema.PadV2OptionsT())[0]
    y = g.operator("QUANTIZE", [y], [g.tensor((1, 11, 9, 4), 0.06, -90)], schema.QuantizeOptionsT())[0]
    return g.conv(y, 3, (1, 11, 9, 3))


def floats_as_they_were(g: Graph, x: int) -> int:
    """DEQUANTIZE and QUANTIZE that change no integer."""
    y = g.operator("DEQUANTIZE", [x], [g.tensor(SHAPE, dtype=np.float32)], schema.DequantizeOptionsT(), 2)[0]
    return g.conv(g.operator("QUANTIZE", [y], [g.like(x, SHAPE)], schema.QuantizeOptionsT())[0], 3, (1, 8, 6, 3))


def selected(comparison: str, kind: str = "SELECT_V2", scale: float = 0.0313):
    """Of each integer itself or another function of it, as a comparison with a constant says."""

    def build(g: Graph, x: int) -> int:
        shape = tuple(g.graph.tensors[x].shape)
        name = "".join(part.title() for part in comparison.split("_"))
        condition = g.tensor(shape, dtype=np.bool_)
        options = getattr(schema, f"{name}OptionsT")()
        g.operator(comparison, [x, g.constant(25, scale, 4, dtype=np.int8)], [condition], options)
        y = g.operator("ABS", [x], [g.like(x, shape)])[0]
        y = g.operator("SUB", [y, g.constant(3, 0.1, dtype=np.int8)], [g.like(x, shape)], schema.SubOptionsT(), 2)[0]
        options = schema.SelectOptionsT() if kind == "SELECT" else schema.SelectV2OptionsT()
        return g.conv(g.operator(kind, [condition, x, y], [g.like(x, shape)], options)[0], 3, (1, 8, 6, 3))

    return build


def wires(g: Graph, x: int) -> int:
    """Slices, splits, transposes and joins of activations, then a layer that reads them."""
    options = schema.StridedSliceOptionsT(beginMask=0b1000, endMask=0b0001)
    part = g.operator(
        "STRIDED_SLICE", [x, *map(g.constant, ([0, 1, 0, 0], [9, 7, 9, 3], [1, 2, 1, 1]))], [g.like(x, (1, 3, 6, 3))], options
    )[0]
    begin, size = g.constant([0, 2, 1, 0]), g.constant([1, 3, -1, 3])
    other = g.operator("SLICE", [x, begin, size], [g.like(x, (1, 3, 5, 3))], schema.SliceOptionsT())[0]
    joined = g.operator("CONCATENATION", [part, other], [g.like(x, (1, 3, 11, 3))], schema.ConcatenationOptionsT(axis=2))[0]
    turned = g.operator("TRANSPOSE", [joined, g.constant([0, 3, 2, 1])], [g.like(x, (1, 3, 11, 3))], schema.TransposeOptionsT())[0]
    halves = [g.like(x, (1, 1, 11, 3)) for _ in range(3)]
    g.operator("SPLIT", [g.constant(1), turned], halves, schema.SplitOptionsT(numSplits=3))
    squeezed = g.operator("SQUEEZE", [halves[1]], [g.like(x, (1, 11, 3))], schema.SqueezeOptionsT(squeezeDims=[1]))[0]
    grown = g.operator("EXPAND_DIMS", [squeezed, g.constant(2)], [g.like(x, (1, 11, 1, 3))], schema.ExpandDimsOptionsT())[0]
    return g.conv(grown, 2, (1, 11, 1, 2), kernel=(3, 1))


def parts(g: Graph, x: int) -> int:
    """Rows taken apart and put together in another order, and a part of them by positions of its own."""
    rows = [g.like(x, (1, 6, 4)) for _ in range(8)]
    g.operator("UNPACK", [x], rows, schema.UnpackOptionsT(num=8, axis=-3))
    packed = g.operator("PACK", rows[:2:-2], [g.like(x, (1, 3, 6, 4))], schema.PackOptionsT(valuesCount=3, axis=1))[0]
    columns = [g.like(x, (1, 3, n, 4)) for n in (1, 3, 2)]
    g.operator("SPLIT_V", [packed, g.constant([1, -1, 2]), g.constant(2)], columns, schema.SplitVOptionsT(numSplits=3))
    joined = g.operator("CONCATENATION", columns[::-1], [g.like(x, (1, 3, 6, 4))], schema.ConcatenationOptionsT(axis=2))[0]
    places = g.constant([[[0, 2, 5], [0, 1, 0]]])
    some = g.operator("GATHER_ND", [joined, places], [g.like(x, (1, 2, 4))], schema.GatherNdOptionsT())[0]
    return g.dense(some, 7)


def spread(g: Graph, x: int) -> int:
    """One row for all of them, between constants: of FILL, and the integer 0 of ZEROS_LIKE."""
    row = g.operator("SLICE", [x, g.constant([0, 2, 0, 0]), g.constant([1, 1, 6, 4])], [g.like(x, (1, 1, 6, 4))], schema.SliceOptionsT())[0]
    shape = g.constant([1, 3, 6, 4])
    rows = g.operator("BROADCAST_TO", [row, shape], [g.like(x, (1, 3, 6, 4))], schema.BroadcastToOptionsT(), 2)[0]
    value = g.constant(17, 0.047, -9, dtype=np.int8)
    full = g.operator("FILL", [shape, value], [g.like(x, (1, 3, 6, 4))], schema.FillOptionsT(), 3)[0]
    ends = [rows, full]
    joined = g.operator("CONCATENATION", ends, [g.like(x, (1, 3, 12, 4))], schema.ConcatenationOptionsT(axis=2))[0]
    return g.conv(joined, 3, (1, 3, 12, 3))


def beside_zeros(g: Graph, x: int) -> int:
    zeros = g.operator("ZEROS_LIKE", [x], [g.like(x, SHAPE)], schema.ZerosLikeOptionsT())[0]
    joined = g.operator("CONCATENATION", [x, zeros], [g.like(x, (1, 8, 12, 4))], schema.ConcatenationOptionsT(axis=2))[0]
    return g.conv(joined, 3, (1, 8, 12, 3))


def corner(g: Graph, x: int) -> int:
    """A convolution that reads one cell, beside which is one of padding: only that is at a position."""
    y = g.conv(x, 3, (1, 1, 1, 3), kernel=(8, 6), same=False)
    z = g.operator("PAD", [y, g.constant([[0, 0], [1, 0], [0, 1], [0, 0]])], [g.like(y, (1, 2, 2, 3))], schema.PadOptionsT())[0]
    return g.conv(z, 2, (1, 2, 2, 2), kernel=(1, 1), same=False)


def moved(kind: str, shape, constants: list, options=None, version: int = 1, flat: bool = False):
    """An operator that moves elements, then a convolution, or a dense layer."""

    def build(g: Graph, x: int) -> int:
        y = g.operator(kind, [x, *map(g.constant, constants)], [g.like(x, shape)], options, version)[0]
        return g.dense(y, 3) if flat else g.conv(y, 3, (*shape[:3], 3))

    return build


def batches(g: Graph, x: int, pads=((0, 0), (0, 0)), size: tuple[int, int] = (4, 2)) -> int:
    """A dilated convolution as converters write it."""
    y = g.operator("SPACE_TO_BATCH_ND", [x, g.constant([2, 3]), g.constant(pads)], [g.like(x, (6, *size, 4))])[0]
    y = g.conv(y, 3, (6, size[0] - 1, size[1] - 1, 3), kernel=(2, 2), same=False)
    shape = (1, 2 * size[0] - 3, 3 * size[1] - 4, 3)
    return g.operator("BATCH_TO_SPACE_ND", [y, g.constant([2, 3]), g.constant([[0, 1], [1, 0]])], [g.like(y, shape)])[0]


def gated(g: Graph, x: int) -> int:
    """SiLU: x times a function of x."""
    y = g.operator("LOGISTIC", [x], [g.tensor((1, 8, 6, 4), 1 / 256, -128)])[0]
    return g.operator("MUL", [y, x], [g.tensor((1, 8, 6, 4), 0.021, -70)], schema.MulOptionsT(), 2)[0]


def squeezed(g: Graph, x: int) -> int:
    """Channels times what was made of their averages."""
    mean = g.operator("MEAN", [x, g.constant([1, 2])], [g.tensor((1, 1, 1, 4), 0.009, -50)], schema.ReducerOptionsT(keepDims=True), 2)[0]
    gate = g.operator("LOGISTIC", [mean], [g.tensor((1, 1, 1, 4), 1 / 256, -128)])[0]
    return g.operator("MUL", [x, gate], [g.tensor((1, 8, 6, 4), 0.021, -7)], schema.MulOptionsT(), 2)[0]


def prelu(g: Graph, x: int) -> int:
    slopes = g.constant([[[30, -80, 127, 0]]], 0.011, 4, dtype=np.int8)
    return g.operator("PRELU", [x, slopes], [g.tensor((1, 8, 6, 4), 0.04, -9)])[0]


def flatten_of_new_converters(g: Graph, x: int) -> int:
    """SHAPE, STRIDED_SLICE and PACK give the constant that RESHAPE reads."""
    size = g.operator("SHAPE", [x], [g.tensor((4,), dtype=np.int32)], schema.ShapeOptionsT(outType=schema.TensorType.INT32))[0]
    options = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    batch = g.operator("STRIDED_SLICE", [size, *map(g.constant, ([0], [1], [1]))], [g.tensor((), dtype=np.int32)], options)[0]
    shape = g.operator("PACK", [batch, g.constant(192)], [g.tensor((2,), dtype=np.int32)], schema.PackOptionsT(valuesCount=2, axis=0))[0]
    flat = g.operator("RESHAPE", [x, shape], [g.like(x, (1, 192))], schema.ReshapeOptionsT())[0]
    return g.dense(flat, 3)


def rows_of_a_dense_layer(g: Graph, x: int) -> int:
    rows = g.operator("RESHAPE", [x, g.constant([48, 4])], [g.like(x, (48, 4))], schema.ReshapeOptionsT(newShape=[48, 4]))[0]
    rng = np.random.default_rng(8)
    weights = g.constant(rng.integers(-127, 128, (3, 4)), rng.uniform(0.01, 0.1, 3), dtype=np.int8)
    return g.operator("FULLY_CONNECTED", [rows, weights, -1], [g.tensor((48, 3), 0.3, 10)], schema.FullyConnectedOptionsT(), 4)[0]


def transposed(kernel, strides, size, same: bool = True, n_out: int = 11, bias: bool = True, fused: int = 0, a_channel: bool = True):
    def build(g: Graph, x: int) -> int:
        rng, shape = np.random.default_rng(13), (1, *size, n_out)
        scales = rng.uniform(0.002, 0.01, n_out if a_channel else 1).astype(np.float32)
        inputs = [g.constant(shape), g.constant(rng.integers(-127, 128, (n_out, *kernel, 4)), scales, dtype=np.int8), x]
        if bias:
            inputs.append(g.constant(rng.integers(-2000, 2000, n_out), g.scale(x) * scales))
        options = schema.TransposeConvOptionsT(
            padding=0 if same else 1, strideH=strides[0], strideW=strides[1], fusedActivationFunction=fused
        )
        return g.operator("TRANSPOSE_CONV", inputs, [g.tensor(shape, 0.03, -20)], options, 4)[0]

    return build


def transposed_of_new_converters(g: Graph, x: int) -> int:
    """SHAPE and PACK give the output's shape, so XNNPACK leaves it to LiteRT."""
    size = g.operator("SHAPE", [x], [g.tensor((4,), dtype=np.int32)], schema.ShapeOptionsT(outType=schema.TensorType.INT32))[0]
    options = schema.StridedSliceOptionsT(shrinkAxisMask=1)
    batch = g.operator("STRIDED_SLICE", [size, *map(g.constant, ([0], [1], [1]))], [g.tensor((), dtype=np.int32)], options)[0]
    parts = [batch, *map(g.constant, (16, 12, 11))]
    shape = g.operator("PACK", parts, [g.tensor((4,), dtype=np.int32)], schema.PackOptionsT(valuesCount=4, axis=0))[0]
    y = transposed((3, 3), (2, 2), (16, 12), fused=3)(g, x)
    g.graph.operators[-1].inputs[0] = shape
    return y


def bilinear(size, corners: bool = False, half: bool = False):
    return moved(
        "RESIZE_BILINEAR", (1, *size, 4), [list(size)], schema.ResizeBilinearOptionsT(alignCorners=corners, halfPixelCenters=half), 3
    )


def bilinear_of_a_computed_size(g: Graph, x: int) -> int:
    """To the size that another tensor has, which XNNPACK leaves to LiteRT."""
    y = g.operator("DEPTH_TO_SPACE", [x], [g.like(x, (1, 16, 12, 1))], schema.DepthToSpaceOptionsT(blockSize=2))[0]
    size = g.operator("SHAPE", [y], [g.tensor((4,), dtype=np.int32)], schema.ShapeOptionsT(outType=schema.TensorType.INT32))[0]
    parts = [size, *map(g.constant, ([1], [3], [1]))]
    size = g.operator("STRIDED_SLICE", parts, [g.tensor((2,), dtype=np.int32)], schema.StridedSliceOptionsT())[0]
    options = schema.ResizeBilinearOptionsT(halfPixelCenters=True)
    z = g.operator("RESIZE_BILINEAR", [x, size], [g.like(x, (1, 16, 12, 4))], options, 3)[0]
    return g.operator("CONCATENATION", [y, z], [g.like(x, (1, 16, 12, 5))], schema.ConcatenationOptionsT(axis=3))[0]


def upsampled_padding(g: Graph, x: int) -> int:
    """Constants around an image, of which means and sums are taken, too."""
    y = g.operator("PAD", [x, g.constant([[0, 0], [1, 0], [2, 1], [0, 0]])], [g.like(x, (1, 9, 9, 4))], schema.PadOptionsT())[0]
    y = g.operator("RESIZE_BILINEAR", [y, g.constant([18, 13])], [g.like(x, (1, 18, 13, 4))], schema.ResizeBilinearOptionsT())[0]
    return transposed((4, 4), (3, 2), (54, 26))(g, y)
