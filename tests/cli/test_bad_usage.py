"""Bad input and bad usage: exit code 2, one line that names the argument or file, and nothing written."""

import pickle
import re

import numpy as np
import pytest

import qbitsat
from qbitsat import examples
from qbitsat.cli.main import main
from qbitsat.errors import ArgumentError
from qbitsat.quantize.formats import parse_format


def refused(capsys, arguments) -> str:
    """The message of a command that must be refused."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("qbitsat: error: ")
    return captured.err


def test_samples_beyond_the_file(files, capsys):
    message = refused(capsys, files.arguments(samples="2:5"))
    assert f"--samples: '2:5', but {files.inputs} has 4 samples, 0 to 3" in message


@pytest.mark.parametrize(("command", "option", "count"), [("overflow", "layers", 2), ("range", "outputs", 10)])
def test_layers_and_outputs_beyond_the_network(capsys, command, option, count):
    path = examples.network_path()
    message = refused(capsys, [command, path, f"--{option}", str(count)])
    assert f"--{option}: '{count}', but {path} has {count} {option}, 0 to {count - 1}" in message


def test_samples_empty_range(files, capsys):
    assert "--samples: '2:2' is empty" in refused(capsys, files.arguments(samples="0,2:2"))


@pytest.mark.parametrize("text", ["", "x", "1,", "-1", "1:2:3", "0:-1", "1.0", "99999999999"])
def test_samples_not_a_list_of_indices(files, capsys, text):
    assert "--samples" in refused(capsys, files.arguments(f"--samples={text}"))


@pytest.mark.parametrize("text", ["-1", "0.5", "", "1,,2", "nan"])
def test_eps_not_whole(files, capsys, text):
    assert "--eps" in refused(capsys, files.arguments(f"--eps={text}"))


@pytest.mark.parametrize(("text", "shown", "steps"), [("1,0.5", "0.5", 1), ("1e-1", "1e-1", 0.2), ("1:8/4", "8/4", 4), ("2.0", "2.0", 4)])
def test_eps_in_real_units_is_told_in_steps(files, capsys, text, shown, steps):
    message = refused(capsys, files.arguments(f"--eps={text}"))
    assert f"--eps: {shown!r}, expected a whole number from 0 to 999999999: eps counts input steps, of 0.5 in real units each; " in message
    assert f" in real units is {steps} {'step' if steps == 1 else 'steps'}\n" in message


def test_options_of_two_words(files, capsys):
    assert "--enumerate-bits: 31, expected" in refused(capsys, files.arguments("--enumerate-bits=31"))


NETWORK, MODEL = examples.network_path(), examples.network_path().with_suffix(".keras")
IMAGES = ["--inputs", NETWORK.with_name("digits_images.npy")]
# Errors that are found where an option's value is used.
USED = [
    (["verify", NETWORK, *IMAGES, "--eps", "1", "--region", "[99]"], "--region: '99', but axis 0 has indices"),
    (["verify", NETWORK, *IMAGES, "--eps", "1", "--target", "77"], "--target: 77, expected a class in [0, 9]"),
    (["radius", NETWORK, *IMAGES, "--region", "0:1=3"], "--region: '0:1=3', expected parts without distances"),
    (["equal", NETWORK, NETWORK, "--within", "-1"], "--within: '-1', expected a number"),
    (["inspect", NETWORK, "--input-bits", "8"], "--input-bits: 8, but"),
    (["inspect", NETWORK, "--runtime", "onnxruntime"], "--runtime: onnxruntime, but"),
    (["check", "x", "--input-bits", "8"], "--input-bits: of no network that is given"),
    (["check", "x", "--timeout", "-1"], "--timeout: -1.0, expected"),
    (["quantize", MODEL, "--format", "paper:99"], "--format: bits with a sign is 99, expected"),
    (["quantize", MODEL, "--format", "power-of-two:8,x.weights=3"], "--format: layer 'x' is none"),
    (["quantize", MODEL, "--format", "power-of-two:8,weights=u"], "--format: weights=u: 'u', expected bits"),
    (["quantize", MODEL, "--format", "power-of-two:8", "--method", "least"], "--method: 'least', expected range"),
    (["bits", MODEL, *IMAGES, "--eps", "1", "--format", "paper:8"], "--format: 'paper:8', expected B"),
    (["bits", MODEL, *IMAGES, "--eps", "1", "--fractions", "3"], "--fractions: the format 'paper:B' has no F"),
]


@pytest.mark.parametrize(("arguments", "message"), USED, ids=[" ".join(map(str, words[2:]))[-30:] for words, _ in USED])
def test_options_are_named_as_they_are_typed(capsys, arguments, message):
    assert f"error: {message}" in refused(capsys, arguments)


# Options that need others or contradict them, of files that are not there.
ALONE = [
    ("agree a", "agree: one network as it is"),
    ("agree a b --observe x --within 1", "--within: asks for a proof, expected none with --observe"),
    ("agree a b --observe x --certificates --out z", "--certificates: asks for a proof"),
    ("agree a b --eps 1", "--eps: around no sample, expected --inputs"),
    ("agree a b --certificates", "--certificates: needs --out DIR"),
    ("equal a b --region 0:1", "--region: around no sample"),
    ("equal a b --certificates", "--certificates: needs --out DIR"),
    ("range a --inputs x", "--inputs: needs --eps LIST"),
    ("range a --certificates", "--certificates: needs --out DIR"),
    ("overflow a --samples 1", "--samples: around no sample"),
    ("monotone a --inputs x", "--inputs: needs --eps LIST"),
    ("gap a --protected 0 --certificates", "--certificates: needs --out DIR"),
    ("radius a --inputs x --resume", "--resume: needs --out DIR, the folder of an earlier run"),
    ("verify a --inputs x --eps 1 --certificates", "--certificates: needs --out DIR"),
    ("verify a --inputs x", "--inputs: needs --eps LIST"),
    ("export a --inputs x --out z.cnf --region 0:9", "--inputs: needs --eps LIST"),
    ("verify a.toml --certificates", "--certificates: needs --out DIR"),
    ("verify a.vnnlib --network a --certificates", "--certificates: needs --out DIR"),
    ("export a --inputs x --eps 1 --out z.smt2", "--out: z.smt2 has the wrong ending for this --format, expected .cnf"),
    ("export a.toml --out z --no-get-value", "--no-get-value: is for --format smt2"),
    ("bits a --inputs x --eps 1 --groups 0:2", "--groups and --domain: are about the features of --protected"),
    ("bits a --inputs x --eps 1 --per-layer --protected 0", "--protected: is for one width of all layers"),
    ("bits a --inputs x --eps 1 --per-layer --fractions 2", "--fractions: is for formats with F"),
    ("check a --network b --labels y", "--labels: needs --inputs FILE"),
    ("check a --network b --target 1", "--target: needs --eps LIST"),
    ("check a --network b --ties kept", "--ties: needs --eps LIST"),
    ("check a --network b --eps 1", "--samples and --eps: need each other"),
    ("check a --network b=c --eps 1 --inputs x", "--samples and --eps: need each other"),
]


@pytest.mark.parametrize(("words", "message"), ALONE, ids=[words for words, _ in ALONE])
def test_usage_comes_before_files(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"error: {message}" in refused(capsys, words.split())
    assert not list(tmp_path.iterdir())


def test_options_of_the_second_network_alone(capsys):
    assert "error: --other-runtime: xnnpack, but" in refused(capsys, ["agree", NETWORK, "--other-runtime", "xnnpack"])
    assert "error: --other-bits: 4, but" in refused(capsys, ["equal", NETWORK, NETWORK, "--other-bits", "4"])


def test_arguments_go_by_their_names_elsewhere(tmp_path, capsys):
    """In Python, and in the keys of a file, which it names."""
    network = qbitsat.load(NETWORK)
    with pytest.raises(ArgumentError, match=r"^region: '99', but") as found:
        qbitsat.robustness(network, network.input.lo + np.zeros(network.num_inputs, int), 1, 0, region="[99]")
    assert str(pickle.loads(pickle.dumps(found.value))) == str(found.value)
    with pytest.raises(ArgumentError, match=r"^format: 'paper:x', expected paper:BITS"):
        parse_format("paper:x")
    with pytest.raises(ArgumentError, match=r"^timeout: -1, expected"):
        qbitsat.options.make_options(timeout=-1)
    path = tmp_path / "question.toml"
    path.write_text(f"hold = 'net.output >= 0'\n[networks]\nnet = '{NETWORK}'\n[inputs]\ncentre = {[0] * 64}\neps = 1\nregion = '[99]'\n")
    assert "question.toml:7:" in (said := refused(capsys, ["verify", path]))
    assert "--region" not in said


NEAR = [
    (["verify", "x", "--inputs", "y", "--eps", "1", "--processes", "2"], "unrecognized argument: --processes; did you mean '--jobs'?"),
    (["check", "x", "--workers=2"], "unrecognized argument: --workers; did you mean '--jobs'?"),
    (["verfy"], "invalid choice: 'verfy' (choose from .*); did you mean 'verify'?; see qbitsat --help"),
    (["--verison"], "unrecognized argument: --verison; did you mean '--version'?"),
    (
        ["verify", "x", "--inputs", "y", "--eps", "1", "--timout", "3"],
        "unrecognized argument: --timout; did you mean '--timeout'?; see qbitsat verify",
    ),
    (["verify", "x", "--inputs", "y", "--epz=1"], "unrecognized argument: --epz; did you mean '--eps'?"),
    (["verify", "x", "--input", "y", "--eps", "1"], "unrecognized argument: --input; did you mean '--inputs'?"),
    (["verify", "x", "--inputs", "y", "--eps", "1", "--no-atack"], "unrecognized argument: --no-atack; did you mean '--no-attack'?"),
    (
        ["verify", "x", "--inputs", "y", "--eps", "1", "--solver", "glucos42"],
        "--solver: 'glucos42' is unknown; expected one of .*; did you mean 'glucose42'?",
    ),
    (
        ["verify", "x", "--inputs", "y", "--eps", "1", "--engine", "hibrid"],
        "--engine: 'hibrid' is unknown; expected one of .*; did you mean 'hybrid'?",
    ),
    (
        ["export", "x", "--inputs", "y", "--eps", "1", "--out", "z", "--format", "smt"],
        "invalid choice: 'smt' (choose from .*); did you mean 'smt2'?",
    ),
    (
        ["compare", "x", "--inputs", "y", "--eps", "1", "--backends", "sat,bitwuzl"],
        "--backends: 'bitwuzl' is unknown; expected one of .*; did you mean 'bitwuzla'?",
    ),
    (["inspect", "x", "--zzzzzz"], "unrecognized argument: --zzzzzz; see qbitsat inspect --help"),
    (["inspect", "x", "y"], "unrecognized arguments: y; see qbitsat inspect --help"),
]


@pytest.mark.parametrize(("arguments", "message"), NEAR, ids=[message[:40] for _, message in NEAR])
def test_near_words_are_suggested(capsys, arguments, message):
    pattern = re.escape(message).replace(re.escape(".*"), ".*")
    assert re.search(pattern, refused(capsys, arguments))


def test_eps_missing(files, capsys):
    assert "--eps" in refused(capsys, files.arguments()[:-2])


def test_inputs_missing(files, capsys):
    assert "--inputs" in refused(capsys, ["verify", files.network, "--eps", "1"])


def test_network_missing(files, capsys, tmp_path):
    files = files._replace(network=tmp_path / "absent.npz")
    assert "absent.npz" in refused(capsys, files.arguments())


def test_network_damaged(files, capsys):
    files.network.write_bytes(files.network.read_bytes()[:200])
    assert "network.npz" in refused(capsys, files.arguments())


def test_inputs_out_of_range(files, capsys):
    np.save(files.inputs, np.array([[1, 2], [3, 16]]))
    message = refused(capsys, files.arguments())
    assert "inputs.npy" in message
    assert "sample 1" in message
    assert "16" in message


def test_labels_of_another_length(files, capsys):
    np.save(files.labels, np.array([0, 1]))
    assert f"{files.labels}: 2 labels, expected 4" in refused(capsys, files.arguments())


def test_label_no_class(files, capsys):
    np.save(files.labels, np.array([0, 0, 2, 0]))
    assert "sample 2 has label 2, expected a class in [0, 1]" in refused(capsys, files.arguments())


def test_target_no_class(files, capsys):
    assert "target: 2, expected a class in [0, 1]" in refused(capsys, files.arguments("--target", "2"))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--solver", "zchaff"), ("--encoding", "round"), ("--engine", "steam"), ("--timeout", "-1"), ("--timeout", "soon"),
        ("--timeout", "nan"), ("--memory", "0"), ("--seed", "1.5"), ("--conflicts", "0"), ("--jobs", "0"), ("--jobs", "two"),
        ("--target", "-1"), ("--bits", "six"), ("--restarts", "-1"), ("--enumerate-bits", "31"),
    ],
)  # fmt: skip
def test_option_out_of_range(files, capsys, flag, value):
    assert flag in refused(capsys, files.arguments(f"{flag}={value}"))


def test_option_unknown(files, capsys):
    assert "--fast" in refused(capsys, files.arguments("--fast"))


def test_quiet_and_verbose_together(files, capsys):
    assert "--quiet" in refused(capsys, files.arguments("--quiet", "--verbose"))


def test_no_command(capsys):
    assert "COMMAND" in refused(capsys, [])


def test_unknown_command(capsys):
    assert "prove" in refused(capsys, ["prove"])


def test_bits_of_a_network_that_knows_them(files, capsys):
    assert "bits" in refused(capsys, files.arguments("--bits", "6"))


def test_out_with_results_is_kept(files, capsys, tmp_path):
    (tmp_path / "results.jsonl").write_text("precious\n")
    assert "results.jsonl: exists already" in refused(capsys, files.arguments("--out", tmp_path))
    assert (tmp_path / "results.jsonl").read_text() == "precious\n"


def test_out_is_a_file(files, capsys):
    assert "is a file" in refused(capsys, files.arguments("--out", files.network))


def test_out_below_a_file(files, capsys):
    assert "network.npz" in refused(capsys, files.arguments("--out", files.network / "out"))


def test_out_is_not_made_for_bad_input(files, capsys, tmp_path):
    refused(capsys, files.arguments("--out", tmp_path / "out", samples="9"))
    assert not (tmp_path / "out").exists()


def test_message_is_one_line_whatever_the_names(files, capsys, tmp_path):
    refused(capsys, files._replace(network=tmp_path / "two\nlines.npz").arguments())
