"""0.1 * 0.3 / 0.02: a multiplier above 1. UNSAT."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def build_onnx_model():
    constants = {
        "x_scale": np.array(0.1, np.float32),
        "x_zero": np.array(0, np.int8),
        "w": np.array([[1]], np.int8),
        "w_scale": np.array(0.3, np.float32),
        "w_zero": np.array(0, np.int8),
        "y_scale": np.array(0.02, np.float32),
        "y_zero": np.array(0, np.int8),
    }
    nodes = [
        helper.make_node("QLinearMatMul", ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.INT8, [1, 1])
    y = helper.make_tensor_value_info("y", TensorProto.INT8, [1, 1])
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "case", [x], [y], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def build_vnnlib_spec():
    return """(vnnlib-version <2.0>)

(declare-network N
    (declare-input X int8 [1,1])
    (declare-output Y int8 [1,1])
)

(assert (>= X[0,0] -20))
(assert (<= X[0,0] 20))
(assert (== Y[0,0] 4))
"""


def return_expected_output():
    return "UNSAT"


def unexpected_result_message():
    return "Expected UNSAT: 0.1 * 0.3 / 0.02: a multiplier above 1."
