"""The operators that are read: versions, and the fields of their options, by their names in TensorFlow Lite's schema."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """version is the latest one that is understood; options name the table that must be there, if any, and its fields."""

    version: int
    options: str = ""
    fields: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()


CONVOLUTION = ("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor", "FusedActivationFunction")
POOL = ("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight", "FusedActivationFunction")
SLICES = ("BeginMask", "EndMask", "EllipsisMask", "NewAxisMask", "ShrinkAxisMask", "Offset")
FUSED = ("FusedActivationFunction",)

KINDS = {
    "FULLY_CONNECTED": Kind(13, "FullyConnectedOptions", ("FusedActivationFunction", "WeightsFormat", "KeepNumDims")),
    "CONV_2D": Kind(8, "Conv2DOptions", CONVOLUTION),
    "DEPTHWISE_CONV_2D": Kind(7, "DepthwiseConv2DOptions", (*CONVOLUTION, "DepthMultiplier")),
    "AVERAGE_POOL_2D": Kind(3, "Pool2DOptions", POOL),
    "MAX_POOL_2D": Kind(3, "Pool2DOptions", POOL),
    "MEAN": Kind(3, "ReducerOptions", ("KeepDims",)),
    "SUM": Kind(2, "ReducerOptions", ("KeepDims",)),
    "REDUCE_MAX": Kind(3, "ReducerOptions", ("KeepDims",)),
    "REDUCE_MIN": Kind(3, "ReducerOptions", ("KeepDims",)),
    "ADD": Kind(5, "AddOptions", FUSED),
    "SUB": Kind(5, "SubOptions", FUSED),
    "MUL": Kind(7, "MulOptions", FUSED),
    "MAXIMUM": Kind(4),
    "MINIMUM": Kind(4),
    "PAD": Kind(4),
    "PADV2": Kind(4),
    "RELU": Kind(3),
    "RELU6": Kind(3),
    "RELU_N1_TO_1": Kind(1),
    "RELU_0_TO_1": Kind(1),
    "ABS": Kind(5),
    "ELU": Kind(1),
    "EXP": Kind(2),
    "GELU": Kind(3, "GeluOptions", ("Approximate",)),
    "LOG": Kind(2),
    "SQRT": Kind(2),
    "RSQRT": Kind(3),
    **dict.fromkeys(("CEIL", "COS", "FLOOR", "NEG", "POW", "ROUND", "SIN", "SQUARE"), Kind(1)),
    **dict.fromkeys(("GREATER", "LESS_EQUAL", "SELECT_V2"), Kind(2)),
    **dict.fromkeys(("GREATER_EQUAL", "LESS", "NOT_EQUAL"), Kind(3)),
    **dict.fromkeys(("EQUAL", "SELECT"), Kind(4)),
    "SIGN": Kind(2),
    "SQUARED_DIFFERENCE": Kind(2),
    "DIV": Kind(2, "DivOptions", FUSED),
    "LEAKY_RELU": Kind(2, "LeakyReluOptions", ("Alpha",)),
    "PRELU": Kind(1),
    "HARD_SWISH": Kind(1),
    "TANH": Kind(3),
    "LOGISTIC": Kind(3),
    "SOFTMAX": Kind(3),
    "LOG_SOFTMAX": Kind(2),
    "ARG_MAX": Kind(3),
    "QUANTIZE": Kind(4),
    "DEQUANTIZE": Kind(6),
    "RESHAPE": Kind(2),
    "SQUEEZE": Kind(2),
    "EXPAND_DIMS": Kind(1),
    "TRANSPOSE": Kind(7),
    "SHAPE": Kind(1),
    "PACK": Kind(4, "PackOptions", ("Axis",)),
    "CONCATENATION": Kind(5, "ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "UNPACK": Kind(6, "UnpackOptions", ("Num", "Axis")),
    "SPLIT": Kind(4, "SplitOptions", ("NumSplits",)),
    "SPLIT_V": Kind(3, "SplitVOptions", ("NumSplits",)),
    "SLICE": Kind(6),
    "STRIDED_SLICE": Kind(8, "StridedSliceOptions", SLICES),
    "GATHER": Kind(8, "GatherOptions", ("Axis", "BatchDims")),
    "GATHER_ND": Kind(6),
    "REVERSE_V2": Kind(4),
    "MIRROR_PAD": Kind(3, "MirrorPadOptions", ("Mode",)),
    "BROADCAST_TO": Kind(4),
    "FILL": Kind(5),
    "ZEROS_LIKE": Kind(1),
    "TILE": Kind(3),
    "RESIZE_NEAREST_NEIGHBOR": Kind(4, "ResizeNearestNeighborOptions", ("AlignCorners", "HalfPixelCenters")),
    "RESIZE_BILINEAR": Kind(4, "ResizeBilinearOptions", ("AlignCorners", "HalfPixelCenters")),
    "TRANSPOSE_CONV": Kind(5, "TransposeConvOptions", ("Padding", "StrideW", "StrideH", "FusedActivationFunction")),
    "DEPTH_TO_SPACE": Kind(2, "DepthToSpaceOptions", ("BlockSize",)),
    "SPACE_TO_DEPTH": Kind(2, "SpaceToDepthOptions", ("BlockSize",)),
    "SPACE_TO_BATCH_ND": Kind(4),
    "BATCH_TO_SPACE_ND": Kind(4),
}
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
PADDINGS = ("SAME", "VALID")
