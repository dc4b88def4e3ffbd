"""0.75 is 1.5 steps and becomes 2. UNSAT."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def build_onnx_model():
    constants = {
        "x_scale": np.array(0.5, np.float32),
        "x_zero": np.array(0, np.int8),
        "w": np.array([[1]], np.int8),
        "w_scale": np.array(1.0, np.float32),
        "w_zero": np.array(0, np.int8),
        "y_scale": np.array(0.5, np.float32),
        "y_zero": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "x_scale", "x_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "x_scale", "x_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["m"]),
        helper.make_node("MatMul", ["d", "m"], ["p"]),
        helper.make_node("QuantizeLinear", ["p", "y_scale", "y_zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "y_scale", "y_zero"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "case", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def build_vnnlib_spec():
    return """(vnnlib-version <2.0>)

(declare-network N
    (declare-input X float32 [1,1])
    (declare-output Y float32 [1,1])
)

(assert (== X[0,0] 0.75))
(assert (< Y[0,0] 1.0))
"""


def return_expected_output():
    return "UNSAT"


def unexpected_result_message():
    return "Expected UNSAT: 0.75 is 1.5 steps and becomes 2."
