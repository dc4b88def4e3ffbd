"""Arguments of overflow, range, monotone, agree, equal, gap and radius."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..importers.runtimes import RUNTIMES
from ..options import ROWS, STAGES, TABLE
from ..properties.balls import LINF, NORMS
from ..properties.equality import real
from ..reach.prefixes import ANY, ORDERS
from .arguments import Parser, add_option, add_reading, add_samples, add_ties, fraction, show_common, whole
from .printing import add_print_or_out

# Of the table of options, what these commands take; timeout is for each of their queries.
OF_A_REGION = "all queries of a region"
EPS = "largest change of an input element, in whole input steps, as in 1,2,4"
ROW_NAMES = ("engine", "seed", "timeout", "memory", "jobs", "tighten", "attack", "restarts", "certificates")


def add_overflow(parser: Parser) -> None:
    _add_total(parser, OF_A_REGION)
    text = "what accumulators must not leave: bits of two's complement, as in 16, or a type as in 'ap_fixed<16,6>'; of single layers as in "
    parser.add_argument("--width", metavar="TYPES", default="32", help=f"{text}24,0=16,2=20; 32 by default")
    text = "which layers, as in 0,2:5, by the numbers of inspect; by default all that multiply by weights"
    parser.add_argument("--layers", metavar="LIST", help=text)
    parser.add_argument("--exact", action="store_true", help="find each layer's exact range of accumulators, not only how wide it is")
    parser.add_argument("--each", action="store_true", help="find the range of every accumulator, for results.jsonl and -v")
    text = (
        "in which order products are added: any, or by index with the bias before them (bias-first) or after them (bias-last), or as the "
    )
    parser.add_argument("--order", choices=ORDERS, default=ANY, help=f"{text}network's runtime does it (ascending); any by default")
    _add_rest(parser)


def _add_total(parser: Parser, queries: str = "all queries") -> None:
    parser.add_argument("--total", metavar="S", type=_seconds, help=f"seconds for {queries}; none by default")


def add_range(parser: Parser) -> None:
    _add_total(parser, OF_A_REGION)
    parser.add_argument("--outputs", metavar="LIST", help="which outputs, as in 0,2:5; all by default")
    _add_rest(parser)


def add_monotone(parser: Parser) -> None:
    _add_total(parser)
    text = "input elements that grow, each by itself, as in 0,2:5, of the flattened input; all by default"
    parser.add_argument("--grows", metavar="LIST", default=":", help=text)
    parser.add_argument("--outputs", metavar="LIST", default=":", help="outputs that must not fall, as in 0,2:5; all by default")
    parser.add_argument("--falls", action="store_true", help="ask the opposite: that no output grows when the input does")
    _add_rest(parser)


def add_agree(parser: Parser) -> None:
    _add_total(parser)
    text = "the second network; by default the same file, as by --other-runtime"
    parser.add_argument("other", metavar="OTHER", type=Path, nargs="?", help=text)
    parser.add_argument("--other-runtime", metavar="NAME", choices=RUNTIMES, help="whose rounding the second network is computed with")
    text = "the second network's accumulators, which wrap around, as of --accumulator; by default the same as the first's"
    parser.add_argument("--other-accumulator", metavar="TYPES", help=text)
    text = "ask whether outputs are at most so many integer steps apart; by default whether the classes are the same"
    parser.add_argument("--within", metavar="STEPS", type=whole("--within"), help=text)
    text = "count how often the two differ on these samples alone, of each class and output; prove nothing"
    parser.add_argument("--observe", metavar="FILE", type=Path, help=text)
    _add_rest(parser, f"{EPS}; 0 by default, the samples as they are")


def add_equal(parser: Parser) -> None:
    _add_total(parser)
    parser.add_argument("other", metavar="OTHER", type=Path, help="another quantization of the same network, of the same inputs")
    text = "bits of OTHER, if it is an .h5 whose name doesn't say; those of NETWORK by default"
    parser.add_argument("--other-bits", type=whole("--other-bits", 1), metavar="N", help=text)
    text = "ask whether outputs are at most so far apart in real units, as in 0.1 or 1/3; by default whether the classes are the same"
    parser.add_argument("--within", metavar="UNITS", type=real, help=text)
    _add_rest(parser, f"{EPS}; 0 by default, the samples as they are")


def add_gap(parser: Parser) -> None:
    _add_total(parser)
    text = "numbers of the features in which the two inputs may differ, as in 0,3:5"
    parser.add_argument("--protected", metavar="LIST", required=True, help=text)
    text = "groups of features of which exactly one is set, to its largest value, as in 0:2,2:7 (b is not in a:b)"
    parser.add_argument("--groups", metavar="LIST", help=text)
    text = "two rows, the smallest and the largest value of each feature: .npy, .npz or .csv; by default all that formats allow"
    parser.add_argument("--domain", metavar="FILE", type=Path, help=text)
    parser.add_argument("--outputs", metavar="LIST", default=":", help="which outputs, as in 0,2:5; all by default")
    add_reading(parser)
    for name in ROW_NAMES:
        add_option(parser, ROWS[name])
    add_print_or_out(parser, "a line for each output as it ends")
    parser.add_argument("--overwrite", action="store_true", help="replace a results.jsonl that is there already, and its certificates")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print the summary only")
    volume.add_argument("-v", "--verbose", action="count", default=0, help="print both inputs")


def add_radius(parser: Parser) -> None:
    add_samples(parser)
    parser.add_argument("--samples", metavar="LIST", default=":", help="which samples, as in 0:100,115 (b is not in a:b); all by default")
    text = "linf, the largest change of an element; l1, the sum of changes; l0, how many elements change; linf by default"
    parser.add_argument("--norm", choices=NORMS, default=LINF, help=text)
    text = "how far this class is away, and not any other"
    parser.add_argument("--target", metavar="CLASS", type=whole("--target"), help=text)
    parser.add_argument("--max-eps", metavar="N", type=whole("--max-eps"), help="do not ask about distances beyond; by default all")
    add_ties(parser, "what becomes of equal outputs")
    text = "which elements may change, as of verify, without distances of their own; all by default"
    parser.add_argument("--region", metavar="PARTS", help=text)
    groups = {stage: parser.add_argument_group(stage) for stage in STAGES}
    for row in TABLE:
        add_option(parser if row.common else groups[row.stage], row)
    text = "measure the radius, and print as a question file that the sample holds there; at what is proved, if the radius is open"
    add_print_or_out(parser, "a line for each sample as it ends", text)
    found = parser.add_mutually_exclusive_group()
    found.add_argument("--resume", action="store_true", help="go on with the results that are there already: the same command")
    found.add_argument("--overwrite", action="store_true", help="replace a results.jsonl that is there already, and its certificates")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print the summary only")
    volume.add_argument("-v", "--verbose", action="count", default=0, help="print counts of searches, and outputs of witnesses")
    common = {"help", "network", "inputs", "labels", "samples", "norm", "target", "max_eps", "out", "resume"}
    show_common(parser, {*common, *(row.name for row in TABLE if row.common)}, "NETWORK --inputs FILE")


def _add_rest(parser: Parser, eps: str = EPS) -> None:
    """What regions are, around samples or all inputs, and how queries about them go."""
    text = "samples, for inputs around them: .npy, .npz, .csv or IDX, also .gz; without, all inputs of the network's formats"
    parser.add_argument("--inputs", metavar="FILE", type=Path, help=text)
    parser.add_argument("--eps", metavar="LIST", help=eps)
    add_reading(parser)
    parser.add_argument("--samples", metavar="LIST", default=":", help="which samples, as in 0:100,115 (b is not in a:b); all by default")
    parser.add_argument("--region", metavar="PARTS", help="which elements may move, as of verify")
    for name in ROW_NAMES:
        add_option(parser, ROWS[name])
    add_print_or_out(parser, "a line for each result as it ends")
    parser.add_argument("--overwrite", action="store_true", help="replace a results.jsonl that is there already, and its certificates")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print the summary only")
    volume.add_argument("-v", "--verbose", action="count", default=0, help="print more of each result")


def _seconds(text: str) -> float:
    value = fraction(text)
    if not 0 < value < float("inf"):
        raise InputError(f"--total: {text!r}, expected a positive number of seconds")
    return value
