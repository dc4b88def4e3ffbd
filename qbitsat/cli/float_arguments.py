"""The grammar of the commands that begin with a float model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..options import ROWS, STAGES, TABLE
from ..quantize import Method, parse_format
from .arguments import Parser, add_layers, add_option, add_ties, fraction, show_common, whole, yes_or_no

FORMATS = """\
formats:
  paper:B,F           B bits, F of them fractional (B - 4 without F); truncated, the bias after the shift (TACAS 2020)
  benchmark:B         weights B - 1 fractional bits, biases and activations B - 2 (AAAI 2021, QVIP)
  power-of-two:B      fractional bits of every tensor by calibration; per-channel: of the weights of every output
  ap_fixed<W,I,Q,O>   as hls4ml computes it
  int8, int8:NAME     as TensorFlow Lite's converter, in a runtime: tflm, xnnpack, ...; per-tensor
  qkeras, hgq         what the quantizers of a file of QKeras or HGQ say; input=u8.8 where none says what the input holds
and then, separated by commas:
  input=u8.8 weights=6 bias=8 activations=u8.6 output=s8.4 accumulator=s16.10 rounding=floor weight-rounding=half_even overflow=wrap
  (u8.6: 8 bits without a sign, 6 of them fractional); of ap_fixed also output=exact table=ap_fixed<18,8> table-size=1024
  slope=ap_fixed<8,1>; of one layer only with its name, as in dense_1.weights=4
"""


def add_model(parser: Parser) -> None:
    parser.add_argument("network", metavar="MODEL", type=Path, help="a float model: .keras, Keras .h5, or float .onnx")
    add_layers(parser)


def add_choice(parser: Parser) -> None:
    """How formats are chosen."""
    text = "samples of the model's input that say what its layers hold: files as --inputs of verify takes them"
    parser.add_argument("--calibration", metavar="FILE", type=Path, help=text)
    text = "how scales and fractional bits are chosen: range, percentile:P or mse; range for int8, else mse by default"
    parser.add_argument("--method", metavar="NAME", type=Method.parse, help=text)


def add_quantize(parser: Parser) -> None:
    add_model(parser)
    parser.add_argument("--format", metavar="FORMAT", type=parse_format, required=True, help="as in paper:8,5: see below")
    add_choice(parser)
    text = "the real value of 1 in those samples, as in 1/255 for pixels; 1 by default"
    parser.add_argument("--unit", metavar="NUMBER", type=unit, help=text)
    parser.add_argument("--labels", metavar="FILE", type=Path, help="their classes: say how accurate model and network are")
    parser.add_argument("--header", metavar="yes|no", type=yes_or_no, help="whether a .csv begins with a header, where that is not clear")
    add_option(parser, replace(ROWS["timeout"], text="seconds for all of it; none by default"))
    add_option(parser, replace(ROWS["memory"], text="GiB of resident memory; none by default"))
    parser.add_argument("--out", metavar="FILE", type=Path, help="write the network there, an .npz that all commands read")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    parser.epilog = FORMATS + "\n" + (parser.epilog or "")


def add_bits(parser: Parser) -> None:
    add_model(parser)
    text = "the samples: .npy, .npz, .csv or IDX, also .gz; integers as the quantized input takes them, or real ones with --unit"
    parser.add_argument("--inputs", metavar="FILE", type=Path, required=True, help=text)
    parser.add_argument("--labels", metavar="FILE", type=Path, help="their classes; without, each network's own answers")
    text = "inputs and calibration data are real values, in units of NUMBER, as in 1/255"
    parser.add_argument("--unit", metavar="NUMBER", type=unit, help=text)
    parser.add_argument("--header", metavar="yes|no", type=yes_or_no, help="whether a .csv begins with a header, where that is not clear")
    text = "which samples are verified, as in 0:100,115 (b is not in a:b); all by default. Accuracy is that on all"
    parser.add_argument("--samples", metavar="LIST", default=":", help=text)
    text = "largest change of an input element, in whole input steps"
    parser.add_argument("--eps", metavar="N", type=whole("--eps"), required=True, help=text)
    add_ties(parser, "what becomes of equal outputs")
    text = "the part of the samples that has to be robust; 0.9 by default"
    parser.add_argument("--target", metavar="PART", type=part, default=0.9, help=text)
    text = (
        "with B for the bits, and F for fractional ones, as in paper:B,F or power-of-two:B,input=u8.8: see below; paper:B by default, and "
    )
    text += "power-of-two:8,input=u8.8 with --per-layer"
    parser.add_argument("--format", metavar="FORMAT", help=text)
    text = "which bits, as in 6,8 or 4:11 (11 is not in it), which is the default; 2:9 with --per-layer"
    parser.add_argument("--widths", metavar="LIST", type=numbers("--widths"), help=text)
    text = "the weights of each layer have a width of their own, the rest is as the format says, without B: find the fewest weight bits"
    parser.add_argument("--per-layer", action="store_true", help=text)
    text = "which fractional bits, where the format has F"
    parser.add_argument("--fractions", metavar="LIST", type=numbers("--fractions"), help=text)
    _add_fairness(parser)
    add_choice(parser)
    groups = {stage: parser.add_argument_group(stage) for stage in STAGES}
    for row in TABLE:
        add_option(parser if row.common else groups[row.stage], row)
    text = "write bits.json and bits.png there, and of each width the network and results.jsonl"
    parser.add_argument("--out", metavar="DIR", type=Path, help=text)
    found = parser.add_mutually_exclusive_group()
    found.add_argument("--resume", action="store_true", help="go on with the results that are there already")
    found.add_argument("--overwrite", action="store_true", help="replace results that are there already")
    parser.add_argument("--quiet", action="store_true", help="print the table and the answer only")
    common = {"help", "network", "layers", "inputs", "labels", "unit", "samples", "eps", "target", "format", "widths", "fractions"}
    common |= {"per_layer", "protected", "calibration", "method", "out", "resume", *(row.name for row in TABLE if row.common)}
    parser.epilog = FORMATS + "\n" + (parser.epilog or "")
    show_common(parser, common, "MODEL --inputs FILE --labels FILE --eps N")


def _add_fairness(parser: Parser) -> None:
    text = "numbers of protected features: each width also gets its fairness gap, how far these alone can move an output, as of `gap`"
    parser.add_argument("--protected", metavar="LIST", help=text)
    text = "groups of features of which exactly one is set, to its largest value, as in 0:2,2:7 (b is not in a:b)"
    parser.add_argument("--groups", metavar="LIST", help=text)
    text = "two rows like samples, the smallest and the largest value of each feature; by default all that the input holds"
    parser.add_argument("--domain", metavar="FILE", type=Path, help=text)


def unit(text: str) -> float:
    value = fraction(text)
    if not 0 < value < math.inf:
        raise InputError(f"--unit: {text!r}, expected a positive number, as in 0.5 or 1/255")
    return value


def part(text: str) -> float:
    value = fraction(text)
    if not 0 <= value <= 1:
        raise InputError(f"--target: {text!r}, expected a part of the samples from 0 to 1, as in 0.9")
    return value


def numbers(flag: str) -> Callable[[str], list[int]]:
    """Text as in 4:11,12 to the numbers that it names."""

    def convert(text: str) -> list[int]:
        found: dict[int, None] = {}
        for piece in text.split(","):
            first, colon, last = (word.strip() for word in piece.partition(":"))
            start = whole(flag)(first)
            stop = whole(flag)(last) if colon else start + 1
            if not start < stop <= 64:
                raise InputError(f"{flag}: {piece.strip()!r}, expected a:b with a below b, and numbers below 64")
            found.update(dict.fromkeys(range(start, stop)))
        return list(found)

    return convert
