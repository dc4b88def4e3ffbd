"""Write the cases: python tests/vnnlib_cases/generate.py

Integer queries of VNN-LIB 2.0 with known answers, a module each, in folders by what they are about: `build_onnx_model`,
`build_vnnlib_spec`, `return_expected_output` and `unexpected_result_message`, the form of vnnlib-satisfactory. Each turns on one rule that
is easy to get wrong. Answers are found by running all inputs that the query allows in ONNX Runtime.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE / "README.md"
sys.path.insert(0, str(HERE.parent))

import folders  # noqa: E402, F401 (where the next one is)
from vnnlib_oracle import all_candidates, is_satisfied  # noqa: E402

Constant = tuple[str, object]


@dataclass(frozen=True)
class Case:
    """constants are numpy's type and a value; nodes an operator, inputs, output; what says which rule it turns on."""

    folder: str
    what: str
    constants: dict[str, Constant]
    nodes: list[tuple[str, list[str], str]]
    input_type: str
    output_type: str
    sizes: tuple[int, int]
    asserts: list[str] = field(default_factory=list)


def matmul(
    folder: str, what: str, asserts: list[str], weights: list[list[int]], *, x: tuple = ("int8", 1.0, 0), w: tuple = (1.0, 0),
    y: tuple = ("int8", 1.0, 0), w_type: str = "int8",
) -> Case:  # fmt: skip
    """QLinearMatMul: y = saturate(round((sum (x - x_zero)(w - w_zero)) * x_scale * w_scale / y_scale) + y_zero). weights (n_in, n_out)."""
    per = isinstance(w[0], list)
    constants: dict[str, Constant] = {
        "x_scale": ("float32", x[1]), "x_zero": (x[0], x[2]), "w": (w_type, weights), "w_scale": ("float32", w[0]),
        "w_zero": (w_type, [w[1]] * len(w[0]) if per else w[1]), "y_scale": ("float32", y[1]), "y_zero": (y[0], y[2]),
    }  # fmt: skip
    node = ("QLinearMatMul", ["x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero"], "y")
    return Case(folder, what, constants, [node], x[0], y[0], (len(weights), len(weights[0])), asserts)


def two(folder: str, what: str, asserts: list[str], first: list[list[int]], second: list[list[int]], middle: tuple, last: tuple,
        x: tuple = ("int8", 0)) -> Case:  # fmt: skip
    """Two of them, one behind the other, on inputs of scale 1; middle and last are the type, scale and zero point of what they give."""
    constants: dict[str, Constant] = {
        "one": ("float32", 1.0), "zero": ("int8", 0), "x_zero": x, "w": ("int8", first), "v": ("int8", second),
        "h_scale": ("float32", middle[1]),
        "h_zero": (middle[0], middle[2]), "y_scale": ("float32", last[1]), "y_zero": (last[0], last[2]),
    }  # fmt: skip
    nodes = [
        ("QLinearMatMul", ["x", "one", "x_zero", "w", "one", "zero", "h_scale", "h_zero"], "h"),
        ("QLinearMatMul", ["h", "h_scale", "h_zero", "v", "one", "zero", "y_scale", "y_zero"], "y"),
    ]
    return Case(folder, what, constants, nodes, x[0], last[0], (len(first), len(second[0])), asserts)


def rims(folder: str, what: str, asserts: list[str], weights: list[list[int]], x: tuple, y: tuple) -> Case:
    """QDQ: floats outside, QuantizeLinear, DequantizeLinear, MatMul, QuantizeLinear, DequantizeLinear; x and y are type, scale, zero."""
    constants: dict[str, Constant] = {
        "x_scale": ("float32", x[1]), "x_zero": (x[0], x[2]), "w": ("int8", weights), "w_scale": ("float32", 1.0), "w_zero": ("int8", 0),
        "y_scale": ("float32", y[1]), "y_zero": (y[0], y[2]),
    }  # fmt: skip
    nodes = [
        ("QuantizeLinear", ["x", "x_scale", "x_zero"], "q"), ("DequantizeLinear", ["q", "x_scale", "x_zero"], "d"),
        ("DequantizeLinear", ["w", "w_scale", "w_zero"], "m"), ("MatMul", ["d", "m"], "p"),
        ("QuantizeLinear", ["p", "y_scale", "y_zero"], "r"), ("DequantizeLinear", ["r", "y_scale", "y_zero"], "y"),
    ]  # fmt: skip
    return Case(folder, what, constants, nodes, "float32", "float32", (len(weights), len(weights[0])), asserts)


HALF = ("int8", 2.0, 0)
CASES = [
    # --- ties: halves go to the even integer, and before the zero point is added ---
    matmul("ties", "0.5 becomes 0", ["(== X[0,0] 1)", "(>= Y[0,0] 1)"], [[1]], y=HALF),
    matmul("ties", "1.5 becomes 2", ["(== X[0,0] 3)", "(>= Y[0,0] 2)"], [[1]], y=HALF),
    matmul("ties", "-0.5 becomes 0", ["(== X[0,0] -1)", "(<= Y[0,0] -1)"], [[1]], y=HALF),
    matmul("ties", "-1.5 becomes -2", ["(== X[0,0] -3)", "(<= Y[0,0] -2)"], [[1]], y=HALF),
    matmul("ties", "0.5 becomes 0, and then the zero point 1 is added", ["(== X[0,0] 1)", "(>= Y[0,0] 2)"], [[1]], y=("int8", 2.0, 1)),
    matmul("ties", "2.5 becomes 2, and then the zero point 3 is added", ["(== X[0,0] 5)", "(<= Y[0,0] 5)"], [[1]], y=("int8", 2.0, 3)),
    matmul("ties", "1, 2, 3 halved are 0, 1, 2: no two are equal",
           ["(>= X[0,0] 1)", "(<= X[0,1] 3)", "(< X[0,0] X[0,1])", "(== Y[0,0] Y[0,1])"], [[1, 0], [0, 1]], y=HALF),
    matmul("ties", "3, 4, 5 halved are all 2", ["(>= X[0,0] 3)", "(<= X[0,1] 5)", "(< X[0,0] X[0,1])", "(== Y[0,0] Y[0,1])"],
           [[1, 0], [0, 1]], y=HALF),
    # --- zero points ---
    matmul("zero_points", "the zero point of uint8 inputs is taken off", ["(<= X[0,0] 127)", "(> Y[0,0] 0)"], [[1]], x=("uint8", 1.0, 128),
           y=("uint8", 1.0, 0)),
    matmul("zero_points", "an input at its zero point gives the output's", ["(== X[0,0] 7)", "(!= Y[0,0] -3)"], [[100]],
           x=("int8", 1.0, 7), y=("int8", 1.0, -3)),
    matmul("zero_points", "weights have one, too", ["(== X[0,0] 4)", "(== X[0,1] 2)", "(== Y[0,0] 2)"], [[130], [125]],
           w=(1.0, 128), w_type="uint8", x=("uint8", 1.0, 0), y=("uint8", 1.0, 0)),
    matmul("zero_points", "10 - x is above 0 for x up to 9", ["(>= X[0,0] 0)", "(<= X[0,0] 9)", "(<= Y[0,0] 0)"],
           [[-1]], x=("uint8", 1.0, 0), y=("uint8", 1.0, 10)),
    matmul("zero_points", "10 - 9 is 1", ["(>= X[0,0] 0)", "(<= X[0,0] 9)", "(<= Y[0,0] 1)"],
           [[-1]], x=("uint8", 1.0, 0), y=("uint8", 1.0, 10)),
    # --- saturation ---
    matmul("saturation", "int8 ends at 127", ["(>= X[0,0] 50)", "(< Y[0,0] 127)"], [[3]]),
    matmul("saturation", "and does not wrap around", ["(>= X[0,0] 50)", "(<= Y[0,0] 0)"], [[3]]),
    matmul("saturation", "int8 begins at -128", ["(<= X[0,0] -50)", "(> Y[0,0] -127)"], [[3]]),
    matmul("saturation", "uint8 has no negative numbers", ["(<= X[0,0] 127)", "(!= Y[0,0] 0)"], [[2]], x=("uint8", 1.0, 128),
           y=("uint8", 1.0, 0)),
    matmul("saturation", "after the zero point: 120 + 10 is 127", ["(== X[0,0] 120)", "(== Y[0,0] 127)"], [[1]], y=("int8", 1.0, 10)),
    matmul("saturation", "outputs tie where both saturate", ["(>= X[0,0] 64)", "(>= X[0,1] 64)", "(!= Y[0,0] Y[0,1])"], [[2, 0], [0, 3]]),
    # --- wrap: sums are of 32 bits ---
    matmul("wrap", "a sum leaves 8 bits inside", ["(== X[0,0] 100)", "(== X[0,1] 100)", "(< Y[0,0] 25)"], [[2], [3]], y=("int8", 20.0, 0)),
    matmul("wrap", "a sum leaves 16 bits inside", ["(== X[0,0] 127)", "(== X[0,1] 127)", "(== X[0,2] 127)", "(<= Y[0,0] 0)"],
           [[127], [127], [127]], y=("int8", 400.0, 0)),
    matmul("wrap", "a difference of two large products is small", ["(== X[0,0] 127)", "(>= X[0,1] 120)", "(== Y[0,0] 5)"], [[127], [-127]],
           y=("int8", 127.0, 0)),
    matmul("wrap", "-128 times -128 is positive", ["(== X[0,0] -128)", "(<= Y[0,0] 0)"], [[-128]], y=("int8", 256.0, 0)),
    # --- requantization: scales that are no powers of two, per channel, one behind the other ---
    matmul("requantization", "0.1 * 0.3 / 0.02: a multiplier above 1", ["(>= X[0,0] -20)", "(<= X[0,0] 20)", "(== Y[0,0] 4)"], [[1]],
           x=("int8", 0.1, 0), w=(0.3, 0), y=("int8", 0.02, 0)),
    matmul("requantization", "some output is passed over, another is not", ["(>= X[0,0] -20)", "(<= X[0,0] 20)", "(== Y[0,0] 3)"], [[1]],
           x=("int8", 0.1, 0), w=(0.3, 0), y=("int8", 0.02, 0)),
    matmul("requantization", "a scale for each output", ["(>= X[0,0] 1)", "(<= X[0,0] 30)", "(> (* 2 Y[0,0]) (+ Y[0,1] 1))"], [[1, 1]],
           w=([0.25, 0.5], 0)),
    matmul("requantization", "a scale for each output, by one less", ["(>= X[0,0] 1)", "(<= X[0,0] 30)", "(>= (* 2 Y[0,0]) (+ Y[0,1] 1))"],
           [[1, 1]], w=([0.25, 0.5], 0)),
    two("requantization", "rounded twice: 5 / 2 = 2, 2 / 4 = 0", ["(== X[0,0] 5)", "(>= Y[0,0] 1)"], [[1]], [[1]], HALF, ("int8", 8.0, 0)),
    two("requantization", "rounded twice, where once would give less", ["(== X[0,0] 11)", "(>= Y[0,0] 2)"], [[1]], [[1]], HALF,
        ("int8", 8.0, 0)),
    two("requantization", "uint8 inside is a rectifier", ["(<= X[0,0] 20)", "(<= X[0,1] 20)", "(< Y[0,0] 50)"],
        [[1, -1], [-1, 1]], [[1], [1]], ("uint8", 1.0, 0), ("uint8", 1.0, 50), ("uint8", 10)),
    two("requantization", "without a zero point inside it is none", ["(<= X[0,0] 20)", "(<= X[0,1] 20)", "(< Y[0,0] 50)"],
        [[1, -1], [-1, 0]], [[1], [1]], ("uint8", 1.0, 100), ("uint8", 1.0, 50), ("uint8", 10)),
    # --- floats outside of QuantizeLinear ---
    rims("rims", "0.75 is 1.5 steps and becomes 2", ["(== X[0,0] 0.75)", "(< Y[0,0] 1.0)"], [[1]], ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "1.25 is 2.5 steps and becomes 2", ["(== X[0,0] 1.25)", "(> Y[0,0] 1.0)"], [[1]], ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "of the floats up to 0.75 the last one alone becomes 2", ["(>= X[0,0] 0.7)", "(<= X[0,0] 0.75)", "(>= Y[0,0] 1.0)"], [[1]],
         ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "and of those below it none", ["(>= X[0,0] 0.7)", "(< X[0,0] 0.75)", "(>= Y[0,0] 1.0)"], [[1]],
         ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "an interval of floats within one integer", ["(> X[0,0] 0.25)", "(< X[0,0] 0.75)", "(!= Y[0,0] 0.5)"], [[1]],
         ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "two parts of one integer's floats are not one float",
         ["(>= X[0,0] 0.3)", "(<= X[0,0] 0.7)", "(or (<= X[0,0] 0.4) (>= X[0,0] 0.6))",
          "(and (> X[0,0] 0.4) (or (< X[0,0] 0.6) (> Y[0,0] 0.6)))"],
         [[1]], ("int8", 0.5, 0), ("int8", 0.5, 0)),
    rims("rims", "floats beyond the range become its ends", ["(>= X[0,0] 1000.0)", "(<= X[0,0] 2000.0)", "(!= Y[0,0] 63.5)"], [[1]],
         ("int8", 0.5, 0), ("int8", 0.5, 0)),
]  # fmt: skip


def spec(case: Case) -> str:
    n_in, n_out = case.sizes
    declared = f"    (declare-input X {case.input_type} [1,{n_in}])\n    (declare-output Y {case.output_type} [1,{n_out}])\n"
    return f"(vnnlib-version <2.0>)\n\n(declare-network N\n{declared})\n\n" + "".join(f"(assert {part})\n" for part in case.asserts)


def module(case: Case, answer: str) -> str:
    """The text of a case's module."""
    n_in, n_out = case.sizes
    lines = [f'"""{case.what[0].upper()}{case.what[1:]}. {answer}."""', "", "import numpy as np"]
    lines += ["from onnx import TensorProto, helper, numpy_helper", "", "", "def build_onnx_model():", "    constants = {"]
    lines += [f'        "{name}": np.array({value!r}, np.{dtype}),' for name, (dtype, value) in case.constants.items()]
    lines += ["    }", "    nodes = ["]
    lines += [f'        helper.make_node("{op}", {list_of(inputs)}, ["{output}"]),' for op, inputs, output in case.nodes]
    kinds = {"float32": "FLOAT", "int8": "INT8", "uint8": "UINT8"}
    lines += ["    ]"]
    for name, dtype, size in (("x", case.input_type, n_in), ("y", case.output_type, n_out)):
        lines.append(f'    {name} = helper.make_tensor_value_info("{name}", TensorProto.{kinds[dtype]}, [1, {size}])')
    lines += [
        "    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]",
        '    graph = helper.make_graph(nodes, "case", [x], [y], held)',
        '    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)',
        "", "", "def build_vnnlib_spec():", f'    return """{spec(case)}"""', "", "", "def return_expected_output():",
        f'    return "{answer}"', "", "", "def unexpected_result_message():", f'    return "Expected {answer}: {case.what}."',
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


ABOUT = {
    "requantization": "scales that are no powers of two, a scale for each output, and rounding after each layer",
    "rims": "inputs and outputs that are floats, outside of QuantizeLinear and DequantizeLinear",
    "saturation": "what leaves the output's type becomes its end",
    "ties": "halves go to the even integer, and before the zero point is added",
    "wrap": "sums have 32 bits, whatever the type of what is added",
    "zero_points": "what is taken off inputs and weights, and added to outputs",
}


def readme(answers: dict[Path, str]) -> str:
    """What each case is for, and its answer."""
    lines = [
        "# Integer queries of VNN-LIB 2.0 with known answers", "",
        "Each asks a small quantized ONNX network for inputs, and turns on one rule of its integers that is easy to get wrong: a tool that",
        "takes them for reals, or rounds in another way, gives the other answer. The answers are found by running all inputs that a",
        "query allows in ONNX Runtime.", "",
        "A module is one case, in the form of vnnlib-satisfactory: `build_onnx_model()` returns the network, `build_vnnlib_spec()` the",
        "text of the query, `return_expected_output()` SAT or UNSAT, and `unexpected_result_message()` what to say of another answer. They",
        "need numpy and onnx alone, and none needs another: so they repeat each other. `generate.py` writes all of them and this page from",
        "a list of one entry a case.", "",
    ]  # fmt: skip
    for folder in sorted(ABOUT):
        lines += [f"## {folder}", f"{ABOUT[folder][0].upper()}{ABOUT[folder][1:]}.", "", "| case | answer | |", "|---|---|---|"]
        lines += [f"| {path.stem} | {answers[path]} | {case.what} |" for case, path in paths() if case.folder == folder]
        lines.append("")
    return "\n".join(lines)


def list_of(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def paths() -> Iterator[tuple[Case, Path]]:
    """Each case and its file."""
    counts: dict[str, int] = {}
    for case in CASES:
        counts[case.folder] = counts.get(case.folder, 0) + 1
        yield case, HERE / case.folder / f"{case.folder}{counts[case.folder]:02}.py"


def loaded(path: Path):
    """A case's module."""
    found = importlib.util.spec_from_file_location(path.stem, path)
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


def answer_of(case: Case, model: bytes) -> str:
    """SAT or UNSAT, by running all inputs."""
    return "SAT" if is_satisfied(model, spec(case), all_candidates(model, spec(case), case.constants)) else "UNSAT"


if __name__ == "__main__":
    for folder in {case.folder for case in CASES}:
        shutil.rmtree(HERE / folder, ignore_errors=True)
    answers = {}
    for case, path in paths():
        path.parent.mkdir(exist_ok=True)
        path.write_text(module(case, "UNSAT"), encoding="utf-8")
        answer = answer_of(case, loaded(path).build_onnx_model().SerializeToString())
        path.write_text(module(case, answer), encoding="utf-8")
        answers[path] = answer
        print(path.relative_to(HERE), answer)
    README.write_text(readme(answers), encoding="utf-8")
