"""The command line's grammar, and the texts of --help."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from .. import __version__
from ..errors import InputError, did_you_mean
from ..importers.inputs import NETWORK_SCALE
from ..importers.runtimes import RUNTIMES
from ..network import TensorFormat
from ..options import ROWS, STAGES, TABLE, Option
from ..properties.region import real_distance
from ..properties.robustness import ARGMAX, TIES
from .exit_codes import exit_codes
from .printing import add_print_or_out

# What others call options of ours.
SYNONYMS = dict.fromkeys(("--processes", "--workers", "--threads", "--cores"), "--jobs")

EXAMPLES = """\
examples:
  qbitsat demo
  qbitsat inspect network.npz
  qbitsat run network.npz --inputs images.npy --labels labels.npy
  qbitsat verify network.npz --inputs images.npy --labels labels.npy --samples 0:100,115 --eps 1 --timeout 60 --jobs 2 --out results
  qbitsat export network.npz --inputs images.npy --samples 7 --eps 1,2 --format dimacs --out cnf
  qbitsat compare network.npz --inputs images.npy --samples 0:20 --eps 1 --backends sat,sat:linear,bitwuzla --timeout 20
  qbitsat check results

"""

# What of the options shapes the exported clauses, and what they may take; the others are about solving them.
EXPORT_OPTIONS = ("encoding", "bounds", "timeout", "memory")
# What `verify --help` shows beside common rows of the table.
COMMON = ("help", "network", "inputs", "labels", "samples", "eps", "target", "out", "resume")
# Each is a query for every sample.
MAX_EPSILONS = 100_000


class Parser(argparse.ArgumentParser):
    """Reports bad usage as an error of ours, so that it is one line like all bad input, and suggests the nearest right word."""

    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)", message)
        hint = did_you_mean(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        raise InputError(f"{message}{hint}; see {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):
        """Unknown options are an error of the command that they were given to, whose own are near."""
        for word in sys.argv[1:] if args is None else args:
            option = word.partition("=")[0]
            if option == "--" or (self._subparsers and not option.startswith("-")):
                break
            if option.startswith("--") and option not in self._option_string_actions:
                meant = SYNONYMS.get(option, "")
                hint = f"; did you mean {meant!r}?" if meant in self._option_string_actions else ""
                self.error(f"unrecognized argument: {option}{hint or did_you_mean(option, self._option_string_actions)}")
        namespace, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return namespace, rest


TEXTS = {
    "demo": "verify the network that ships with qbitsat, start to end",
    "inspect": "show a network's layers, formats, rounding and sizes, or the layers of a float model",
    "run": "compute outputs and classes, exactly as the device does, and the accuracy",
    "quantize": "make an integer network of a float model, in any format, and say what is lost",
    "verify": "decide robustness of samples, or a question file (.toml, .vnnlib)",
    "bits": "find how many bits it takes until enough samples are robust, from a float model",
    "radius": "find how far samples keep their class",
    "range": "find the exact range of each output",
    "overflow": "find how wide the accumulators of each layer must be",
    "monotone": "decide whether an output ever falls when an input grows",
    "agree": "decide whether two networks or runtimes agree, around samples or on all inputs",
    "equal": "decide whether two quantizations of a network mean the same, around samples or on all inputs",
    "gap": "find how far protected features alone can move outputs",
    "export": "write the same queries as files for any other solver",
    "check": "check certificates, independently of what found the verdicts",
    "supports": "say what VNN-LIB queries and ONNX files may have, as its standard asks",
    "compare": "give the same queries to SAT and to SMT solvers, and compare verdicts and times",
}


def build(commands: Mapping[str, Callable[[argparse.Namespace], int]]) -> Parser:
    """The parser of all commands; `args.run` is the function of the chosen one."""
    from .float_arguments import add_bits, add_quantize  # which has its words from here
    from .reach_arguments import add_agree, add_equal, add_gap, add_monotone, add_overflow, add_radius, add_range
    from .vnnlib import add_supports

    kind: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    text = "Prove or refute properties of quantized neural networks, exactly as their integers are computed."
    parser = Parser(prog="qbitsat", description=text, epilog=EXAMPLES + exit_codes(), **kind)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--name", action="version", version="qbitsat", help="show program's name and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    own: dict[str, Callable[[Parser], None]] = {
        "quantize": add_quantize,
        "bits": add_bits,
        "radius": add_radius,
        "range": add_range,
        "overflow": add_overflow,
        "monotone": add_monotone,
        "agree": add_agree,
        "equal": add_equal,
        "gap": add_gap,
        "inspect": add_layers,
        "run": add_run,
        "verify": add_verify,
        "export": add_export,
        "compare": add_compare,
        "check": add_check,
        "supports": add_supports,
    }
    for name, run in commands.items():
        description = f"{TEXTS[name][0].upper()}{TEXTS[name][1:]}."
        description += " See also verify QUESTION.toml --help and verify QUERY.vnnlib --help." if name == "verify" else ""
        command = subparsers.add_parser(name, help=TEXTS[name], description=description, epilog=exit_codes(name), **kind)
        command.set_defaults(run=run)
        if name not in ("demo", "check", "quantize", "bits", "supports"):
            add_network(command)
        if name in ("verify", "export", "compare"):
            add_queries(command)
        if name in own:
            own[name](command)
    return parser


def add_network(parser: Parser) -> None:
    floats = "; or a float model, as of quantize" if parser.prog.endswith(" inspect") else ""
    floats += "; or a question file, QUESTION.toml" if parser.prog.endswith((" verify", " export", " compare")) else ""
    text = f"qbitsat's own .npz, an int8 .tflite, a quantized .onnx, or benchmark weights in .h5{floats}"
    parser.add_argument("network", metavar="NETWORK", type=Path, help=text)
    add_file_options(parser)


def add_file_options(parser: Parser) -> None:
    """What a file does not say of its network."""
    text = f"whose rounding a .tflite or .onnx is computed with: {', '.join(RUNTIMES)}; {RUNTIMES[0]} and onnxruntime by default"
    parser.add_argument("--runtime", metavar="NAME", choices=RUNTIMES, help=text)
    text = "compute it with accumulators of so many bits that wrap around, as in 16; of single layers as in 0=16,2=24"
    parser.add_argument("--accumulator", metavar="TYPES", help=text)
    parser.add_argument("--bits", type=whole("--bits", 1), metavar="N", help="bits of an .h5 network whose name doesn't say, 2 to 16")
    parser.add_argument("--input-bits", type=whole("--input-bits", 1), metavar="N", help="bits of its inputs, 1 to 16; 8 by default")


def add_layers(parser: Parser) -> None:
    """What a file of weights alone does not say."""
    text = "of an .h5 that holds the weights of dense layers alone: the input, and units and activation of each layer, as in "
    text += "784,64,32,10 (relu between them) or 28x28,64:relu7,10:softmax"
    parser.add_argument("--layers", metavar="LIST", help=text)


def add_queries(parser: Parser) -> None:
    add_samples(parser)
    parser.add_argument("--samples", metavar="LIST", default=":", help="which samples, as in 0:100,115 (b is not in a:b); all by default")
    text = "largest change of an input element, in whole input steps, as in 1,2,4 or 1:9 (b is not in a:b); not needed where every part of "
    parser.add_argument("--eps", metavar="LIST", help=f"{text}--region has a distance of its own")
    parser.add_argument("--target", metavar="CLASS", type=whole("--target"), help="ask only whether this class can be reached")
    add_ties(parser, "what becomes of equal outputs")
    text = (
        "which elements may move, by --eps or a distance of their own: axes as in '[3:6, 10:13]' (a rectangle), '[:, :, 0]=2' (a channel), "
    )
    text += "'[5]' (a frame), or elements as in '5:9'; several with blanks between them; all by default"
    parser.add_argument("--region", metavar="PARTS", help=text)


def add_ties(parser: Parser, what: str) -> None:
    text = f"{what}: argmax, the first is the class; kept, the label if it is one of them (TACAS 2020); argmax by default"
    parser.add_argument("--ties", choices=TIES, default=ARGMAX, help=text)


def add_samples(parser: Parser, required: bool = True) -> None:
    text = "samples: .npy, .npz, .csv or IDX, also .gz; FILE.npz:NAME for one array of several"
    parser.add_argument("--inputs", metavar="FILE", type=Path, required=required, help=text)
    parser.add_argument("--labels", metavar="FILE", type=Path, help="their classes; without, the network's own answers")
    add_reading(parser)


def add_reading(parser: Parser) -> None:
    """How files of samples and labels are read; `reading` has what `load_inputs` makes of it."""
    text = "whether a .csv begins with a header; by default words are one, numbers are none, and what may be either is refused"
    parser.add_argument("--header", metavar="yes|no", type=yes_or_no, help=text)
    text = "inputs are real values, and become round(x / NUMBER) + the input's zero point, ties to even: NUMBER as in 0.5 or 1/255, "
    text += "or `network` for the network's own scale; what leaves the range is refused"
    parser.add_argument("--scale", metavar="NUMBER", type=scale_of, help=text)


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of `load_inputs`."""
    return {"header": args.header, "scale": args.scale}


def yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise InputError(f"--header: {text!r}, expected yes or no")
    return text == "yes"


def fraction(text: str) -> float:
    """The value of a number or a fraction of two, as in 1/255; nan if it is neither."""
    number, slash, divisor = text.partition("/")
    try:
        return float(number) / float(divisor) if slash else float(number)
    except (ValueError, ZeroDivisionError):
        return math.nan


def scale_of(text: str) -> float | str:
    """A positive number, a fraction of two, or the word for the network's own."""
    if text == NETWORK_SCALE:
        return text
    value = fraction(text)
    if not 0 < value < math.inf:
        raise InputError(f"--scale: {text!r}, expected a positive number, as in 0.5 or 1/255, or {NETWORK_SCALE!r}")
    return value


def add_verify(parser: Parser) -> None:
    groups = {stage: parser.add_argument_group(stage) for stage in STAGES}
    for row in TABLE:
        add_option(parser if row.common else groups[row.stage], row)
    add_print_or_out(parser, "a line when a query ends")
    found = parser.add_mutually_exclusive_group()
    found.add_argument(
        "--resume", action="store_true", help="go on with the results that are there already: the same command, after whatever ended it"
    )
    found.add_argument("--overwrite", action="store_true", help="replace a results.jsonl that is there already, and its certificates")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print the summary only")
    text = "print statistics and the input elements that witnesses change; twice (-vv), and log the stages to standard error"
    volume.add_argument("-v", "--verbose", action="count", default=0, help=text)
    show_common(parser, {*COMMON, *(row.name for row in TABLE if row.common)})


def show_common(parser: Parser, common: set[str], needed: str = "NETWORK --inputs FILE --eps LIST") -> None:
    """Let --help show these only, and --help-all all; `needed` is what a command can't do without."""
    parser.usage = f"{parser.prog} {needed} [OPTION ...]"
    hidden = {action: action.help for action in parser._actions if action.dest not in common}
    for action in hidden:
        action.help = argparse.SUPPRESS

    class HelpAll(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None):
            for action, text in hidden.items():
                action.help = text
            parser.print_help()
            parser.exit()

    text = f"show the other {len(hidden)} options, too: limits, engines, reading of files"
    parser.add_argument("--help-all", action=HelpAll, nargs=0, default=argparse.SUPPRESS, help=text)


def add_run(parser: Parser) -> None:
    add_samples(parser)
    parser.add_argument("--samples", metavar="LIST", default=":", help="which samples, as in 0:100,115 (b is not in a:b); all by default")
    text = "write all outputs there: .npy int64[samples, outputs]; .npz with outputs, classes, samples and labels; or .csv"
    parser.add_argument("--out", metavar="FILE", type=Path, help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there already")
    parser.add_argument("--quiet", action="store_true", help="print the summary only")


def add_export(parser: Parser) -> None:
    for name in EXPORT_OPTIONS:
        add_option(parser, ROWS[name])
    text = "dimacs: CNF with comments that name the variables; smt2: SMT-LIB 2, bit-vectors; dimacs by default"
    parser.add_argument("--format", choices=("dimacs", "smt2"), default="dimacs", help=text)
    text = "end .smt2 files with (get-value ...), which some solvers take for an error after unsat"
    parser.add_argument("--get-value", action=argparse.BooleanOptionalAction, default=True, help=text)
    text = "a folder; or for a single query a file, ending in .cnf or .smt2"
    parser.add_argument("--out", metavar="PATH", type=Path, required=True, help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there already")


def add_compare(parser: Parser) -> None:
    text = "as in sat,sat:linear,sat:glucose42,bitwuzla: each of sat, bitwuzla, boolector, z3, cvc5, yices, with :balanced or :linear"
    text += " if not balanced, and for sat with :SOLVER; sat,sat:linear by default. Bounds are the same for all; nothing is attacked"
    parser.add_argument("--backends", metavar="LIST", default="sat,sat:linear", help=text)
    timeout = replace(ROWS["timeout"], default=60.0, text="seconds for each query and backend")
    for row in (timeout, ROWS["memory"], ROWS["bounds"]):
        add_option(parser, row)
    parser.add_argument("--out", metavar="DIR", type=Path, help="write compare.json there as runs end, and a plot, cactus.png")
    parser.add_argument("--overwrite", action="store_true", help="replace a compare.json that is there already")


def add_check(parser: Parser) -> None:
    text = "certificates, or folders: with a results.jsonl, which must then agree, else with .cert files"
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="+", help=text)
    text = "the network that certificates must be about; may be given again. Without, each chooses the file that it names, and its bits."
    text += " NAME=FILE of those that a question file or a VNN-LIB file names"
    parser.add_argument("--network", metavar="FILE", action="append", help=text)
    text = "the .toml or .vnnlib that certificates must answer. Without, each chooses the file that it or its line names"
    parser.add_argument("--question", metavar="FILE", type=Path, help=text)
    add_file_options(parser)
    add_samples(parser, required=False)
    text = "samples that must have a line in results.jsonl, as in 0:100,115; all of --inputs if --eps is given"
    parser.add_argument("--samples", metavar="LIST", help=text)
    parser.add_argument("--eps", metavar="LIST", help="at these distances, as in 1,2")
    parser.add_argument("--target", metavar="CLASS", type=whole("--target"), help="and with this target")
    parser.add_argument("--region", metavar="PARTS", help="and with this region, as given to verify")
    add_ties(parser, "and with this rule for equal outputs")
    parser.add_argument("--cake-lpr", metavar="FILE", type=Path, help="have this cake_lpr check proofs by SAT, too")
    text = "seconds for each certificate; 3600 by default"
    parser.add_argument("--timeout", metavar="S", type=converter(ROWS["timeout"]), default=3600.0, help=text)
    text = "GiB of resident memory for each process; 8 by default"
    parser.add_argument("--memory", metavar="GIB", type=converter(ROWS["memory"]), default=8.0, help=text)
    parser.add_argument("--jobs", metavar="N", type=whole("--jobs", 1), default=1, help="certificates at the same time; 1 by default")
    volume = parser.add_mutually_exclusive_group()
    volume.add_argument("--quiet", action="store_true", help="print only what is not accepted, and the summary")
    volume.add_argument("-v", "--verbose", action="count", default=0, help="print in words what each certificate proves")


def add_option(parser: argparse._ActionsContainer, row: Option) -> None:
    """The flag of a row of the table of options."""
    flag = f"--{row.name.replace('_', '-')}"
    if row.kind is bool:
        parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=row.default, help=row.text)
        return
    words = f" ({', '.join(row.choices)})" if row.choices else ""
    default = "" if row.default is None else f"; {row.default} by default"
    metavar = row.metavar or row.name.upper()
    parser.add_argument(flag, metavar=metavar, type=converter(row), default=row.default, help=row.text + words + default)


def converter(row: Option) -> Callable[[str], Any]:
    """Text to a checked value of the row."""

    def convert(text: str) -> Any:
        value: Any = text
        if not row.choices:
            try:
                value = row.kind(text)
            except ValueError:
                value = text
        return row.check(value)

    return convert


def whole(flag: str, least: int = 0) -> Callable[[str], int]:
    """Text to a whole number of at least `least`."""

    def convert(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= least):
            raise InputError(f"{flag}: {text!r}, expected a whole number from {least} to 999999999")
        return int(text)

    return convert


def parse_epsilons(text: str, form: TensorFormat) -> list[int]:
    """As in 1,2 or 1:9 (9 is not in it, as in --samples), steps of an input of that format: each once, in the order given."""

    def number(piece: str) -> int:
        try:
            return whole("--eps")(piece)
        except InputError as error:
            raise InputError(f"{error}{real_distance(fraction(piece), form)}") from None

    chosen: dict[int, None] = {}
    for part in text.split(","):
        first, colon, last = (piece.strip() for piece in part.partition(":"))
        start = number(first)
        stop = number(last) if colon else start + 1
        if start >= stop:
            raise InputError(f"--eps: {part.strip()!r} is empty, expected a:b with a below b")
        if stop - start > MAX_EPSILONS:
            raise InputError(f"--eps: {part.strip()!r} has {stop - start} values, expected at most {MAX_EPSILONS}")
        chosen.update(dict.fromkeys(range(start, stop)))
    return list(chosen)


def parse_samples(text: str, count: int, source: Path, what: str = "samples", option: str = "") -> list[int]:
    """As in 0:100,115 of `count` samples in `source`, or of what else an option, by default --`what`, chooses: each once, as given."""
    number = whole(option := option or f"--{what}")
    chosen: dict[int, None] = {}
    for part in text.split(","):
        if not re.fullmatch(r"\s*\d*\s*(:\s*\d*\s*)?", part) or not part.strip():
            raise InputError(f"{option}: {part!r}, expected indices and ranges a:b, as in 0:100,115")
        first, colon, last = (piece.strip() for piece in part.partition(":"))
        start = number(first) if first or not colon else 0
        stop = (number(last) if last else count) if colon else start + 1
        if not count:
            raise InputError(f"{option}: {part!r}, but {source} has no {what}")
        if stop > count:
            raise InputError(f"{option}: {part!r}, but {source} has {count} {what if count != 1 else what[:-1]}, 0 to {count - 1}")
        if start >= stop:
            raise InputError(f"{option}: {part!r} is empty, expected a:b with a below b")
        chosen.update(dict.fromkeys(range(start, stop)))
    return list(chosen)
