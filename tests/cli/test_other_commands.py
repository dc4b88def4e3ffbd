"""demo, inspect, export, --version, --help."""

import re

import pytest
from pysat.formula import CNF
from pysat.solvers import Solver

from qbitsat import __version__, examples, load
from qbitsat.cli.main import main
from qbitsat.options import STAGES, TABLE

# --- demo ---


def test_demo_exit_code():
    assert main(["demo"]) == 0


def test_demo_decides_every_query(capsys):
    main(["demo"])
    assert ", 0 unknown" in capsys.readouterr().out


def test_demo_draws_a_counterexample(capsys):
    main(["demo"])
    assert re.search(r"^sample \d+: class \d +counterexample: class \d +changes$", capsys.readouterr().out, re.MULTILINE)


# --- inspect ---


def test_inspect_shows_the_hash(files, capsys):
    assert main(["inspect", str(files.network)]) == 0
    assert load(files.network).sha256 in capsys.readouterr().out


def test_inspect_rows_are_layers(files, capsys):
    main(["inspect", str(files.network)])
    row = capsys.readouterr().out.splitlines()[-1].split("  ")
    cells = [cell.strip() for cell in row if cell.strip()]
    assert cells == ["copy", "Dense", "2", "2", "[0, 15]", "0.5", "0", "floor", "0", "saturate", "0", "4", "4", "[0, 15]", "4"]


def test_inspect_bad_network(files, capsys):
    assert main(["inspect", str(files.labels)]) == 2
    assert "labels.npy" in capsys.readouterr().err


# --- export ---


def satisfiable(path) -> bool:
    with Solver(name="cadical195", bootstrap_with=CNF(from_file=str(path))) as solver:
        return solver.solve()


def test_export_one_file_a_query(files, tmp_path):
    main(files.arguments("--out", str(tmp_path / "cnf"), command="export", eps="1,2"))
    names = sorted(path.name for path in (tmp_path / "cnf").iterdir())
    assert names == sorted(f"sample{sample}_eps{eps}.cnf" for sample in range(3) for eps in (1, 2))


def test_export_names_the_misclassified(files, tmp_path, capsys):
    code = main(files.arguments("--out", str(tmp_path / "cnf"), command="export", samples="3"))
    assert "misclassified" in capsys.readouterr().out
    assert code == 5  # nothing to export is no success
    assert not (tmp_path / "cnf").exists()


def test_export_satisfiable_iff_violated(files, tmp_path):
    main(files.arguments("--out", str(tmp_path), "--no-bounds", "--format", "dimacs", command="export", samples="0:3"))
    assert [satisfiable(tmp_path / f"sample{sample}_eps1.cnf") for sample in range(3)] == [False, True, False]


def test_export_to_a_file(files, tmp_path):
    assert main(files.arguments("--out", str(tmp_path / "query.cnf"), command="export", samples="1")) == 0
    assert satisfiable(tmp_path / "query.cnf")


def test_export_many_queries_to_a_file(files, tmp_path, capsys):
    assert main(files.arguments("--out", str(tmp_path / "query.cnf"), command="export")) == 2
    assert "there are 3 queries" in capsys.readouterr().err


def test_export_keeps_what_is_there(files, tmp_path, capsys):
    (tmp_path / "query.cnf").write_text("precious")
    assert main(files.arguments("--out", str(tmp_path / "query.cnf"), command="export", samples="1")) == 2
    assert (tmp_path / "query.cnf").read_text() == "precious"


def test_export_overwrite_replaces(files, tmp_path):
    (tmp_path / "query.cnf").write_text("old")
    assert main(files.arguments("--out", str(tmp_path / "query.cnf"), "--overwrite", command="export", samples="1")) == 0
    assert satisfiable(tmp_path / "query.cnf")


def test_export_leaves_no_part_of_a_file(files, tmp_path, monkeypatch):
    def fail(query, options, stream):
        stream.write(b"p cnf 1 1\n")
        raise ZeroDivisionError

    monkeypatch.setattr("qbitsat.encode.dimacs.write", fail)
    with pytest.raises(ZeroDivisionError):
        main(files.arguments("--out", str(tmp_path / "cnf"), command="export", samples="1"))
    assert list((tmp_path / "cnf").iterdir()) == []


@pytest.mark.parametrize("form", ["dimacs", "smt2"])
def test_export_within_limits(form, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["export", str(examples.network_path()), "--inputs", str(examples.images_path()), "--samples", "1", "--eps", "1"]
    for limit, reason in (("--memory", "memory"), ("--timeout", "timeout")):
        assert main([*command, "--format", form, "--out", str(out), limit, "0.001"]) == 5
        assert capsys.readouterr().out == f"sample 1  eps 1  not written: {reason}\n"
        assert list(out.iterdir()) == []


def test_export_without_memory_says_so(files, tmp_path, monkeypatch, capsys):
    def fail(query, options, stream):
        raise MemoryError

    monkeypatch.setattr("qbitsat.encode.dimacs.write", fail)
    assert main(files.arguments("--out", str(tmp_path / "cnf"), command="export", samples="1,2")) == 5
    assert capsys.readouterr().out.count("not written: memory") == 2


# --- the rest ---


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert (stop.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("command", [[], ["demo"], ["inspect"], ["verify"], ["export"], ["compare"]])
def test_help_tells_the_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "exit codes:" in capsys.readouterr().out


def test_help_keeps_names_as_they_are(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert "Give the same queries to SAT and to SMT solvers" in " ".join(capsys.readouterr().out.split())


# --- what exported files say of themselves ---


@pytest.mark.parametrize(("form", "mark"), [("dimacs", "c "), ("smt2", "; ")])
def test_export_says_what_it_is(files, tmp_path, capsys, form, mark):
    main(
        files.arguments(
            "--out", str(tmp_path / "out"), "--format", form, "--target", "1", "--encoding", "linear", command="export", samples="0"
        )
    )
    (path,) = (tmp_path / "out").iterdir()
    network = load(files.network)
    assert path.read_text().splitlines()[:5] == [
        f"{mark}qbitsat {__version__}",
        f"{mark}network 0: {network.name}, sha256 {network.sha256}",
        f"{mark}question: robustness: eps 1, label 0, target 1, sample 0",
        f"{mark}encoding linear, simplified by interval bounds",
        f"{mark}satisfiable iff the property is violated",
    ]


def test_export_of_a_target_has_a_name_of_its_own(files, tmp_path):
    for target in ((), ("--target", "1")):
        assert main(files.arguments("--out", str(tmp_path / "out"), *target, command="export", samples="0")) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sample0_eps1.cnf", "sample0_eps1_target1.cnf"]


def test_export_prints_sizes(files, tmp_path, capsys):
    main(files.arguments("--out", str(tmp_path), "--no-bounds", command="export", samples="1"))
    path = tmp_path / "sample1_eps1.cnf"
    cnf = CNF(from_file=str(path))
    expected = f"sample 1  eps 1  {path}: {cnf.nv} variables, {len(cnf.clauses)} clauses, {path.stat().st_size} bytes\n"
    assert capsys.readouterr().out == expected
    main(files.arguments("--out", str(tmp_path), "--no-bounds", "--format", "smt2", command="export", samples="1"))
    path = tmp_path / "sample1_eps1.smt2"
    counts = [path.read_text().count(f"\n({word} ") for word in ("declare-fun", "define-fun")]
    assert f": {counts[0]} unknowns, {counts[1]} definitions, {path.stat().st_size} bytes\n" in capsys.readouterr().out


def test_export_without_get_value(files, tmp_path, capsys):
    common = ("--out", str(tmp_path), "--no-bounds", "--overwrite")
    texts = []
    for more in ((), ("--no-get-value",)):
        assert main(files.arguments(*common, "--format", "smt2", *more, command="export", samples="1")) == 0
        texts.append((tmp_path / "sample1_eps1.smt2").read_text())
    assert texts[0].startswith(texts[1])
    assert texts[0][len(texts[1]) :].startswith("(get-value (x_0_0")
    assert texts[1].endswith("\n(check-sat)\n")
    assert main(files.arguments(*common, "--no-get-value", command="export", samples="1")) == 2
    assert "--no-get-value: is for --format smt2" in capsys.readouterr().err


# --- two lengths of help ---


def test_help_of_verify_shows_ten_options_and_help_all_the_rest(capsys):
    texts = {}
    for flag in ("--help", "--help-all", "--help"):
        with pytest.raises(SystemExit) as ended:
            main(["verify", flag])
        assert ended.value.code == 0
        texts[flag] = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", capsys.readouterr().out, re.MULTILINE))
    ten = {"inputs", "labels", "samples", "eps", "target", "timeout", "jobs", "certificates", "out", "resume"}
    assert texts["--help"] == {f"--{name}" for name in (*ten, "help", "help-all")}
    assert texts["--help"] < texts["--help-all"]
    assert {f"--{row.name}".replace("_", "-") for row in TABLE} <= texts["--help-all"]


def test_every_option_has_a_stage():
    assert {row.stage for row in TABLE} == set(STAGES)
