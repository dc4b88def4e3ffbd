"""--resume: what counts as finished, what is asked again, what is refused; and one run at a time in a folder."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from larger import Files, write_files
from processes import wait_until

import qbitsat
from qbitsat.campaign import lock
from qbitsat.cli.main import main
from qbitsat.importers import load, save
from qbitsat.network import Dense, Network
from qbitsat.verify import UNKNOWN, Verdict, verify


def lines(folder: Path) -> list[str]:
    return (folder / "results.jsonl").read_text().splitlines(keepends=True)


def verdicts(folder: Path) -> dict[tuple, tuple]:
    entries = [json.loads(line) for line in lines(folder)]
    return {(entry["sample"], entry["eps"], entry["target"]): (entry["verdict"], entry["witness"]) for entry in entries}


@pytest.fixture
def run(files, tmp_path, monkeypatch):
    """Run `verify` in the folder `out`: the exit code, and the (sample's first element, eps) of every query that was verified."""

    def run_verify(*more: str, **keywords):
        asked = []

        def counted(query, **options):
            box = query.boxes[0]
            asked.append((query.origin.get("sample"), int(box.hi[0] - box.lo[0]) // 2))
            return verify(query, **options)

        monkeypatch.setattr("qbitsat.campaign.queries.verify", counted)
        return main(files.arguments("--out", str(tmp_path / "out"), *more, **keywords)), asked

    return run_verify


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


def refused(capsys, code: int, *words: str) -> None:
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err


# --- what counts ---


def test_resume_of_nothing_is_a_first_run(run, out):
    code, asked = run("--resume")
    assert (code, len(asked), len(lines(out))) == (10, 3, 4)


def test_resume_of_all_verifies_nothing(run, out, capsys):
    run()
    before = lines(out)
    capsys.readouterr()
    code, asked = run("--resume")
    assert (code, asked, lines(out)) == (10, [], before)
    assert "4 queries in" in capsys.readouterr().out


@pytest.mark.parametrize("count", range(4))
@pytest.mark.parametrize("torn", ["", "{", '{"sample": 1, "eps": 1}', '{"sample"\0\0'])
def test_resume_keeps_whole_lines_and_cuts_off_a_torn_one(run, out, capsys, count, torn):
    run()
    whole, before = lines(out), verdicts(out)
    (out / "results.jsonl").write_text("".join(whole[:count]) + torn)
    capsys.readouterr()
    code, asked = run("--resume")
    assert code == 10
    assert lines(out)[:count] == whole[:count]
    assert verdicts(out) == before
    assert len(asked) == len([line for line in whole[count:] if "MISCLASSIFIED" not in line])
    printed = capsys.readouterr().out
    assert printed.count("sample ") == 4 - count
    assert "4 queries in" in printed
    assert (f"{count} of them were finished before\n" in printed) == (count > 0)


def test_resume_asks_unknown_again(run, out, monkeypatch, files):
    monkeypatch.setattr("qbitsat.campaign.queries.verify", lambda query, **_: Verdict(UNKNOWN, "timeout"))
    assert main(files.arguments("--out", str(out))) == 5
    code, asked = run("--resume", "--timeout", "60")
    assert (code, len(asked), len(lines(out))) == (10, 3, 4)
    assert "UNKNOWN" not in "".join(lines(out))


def test_exit_code_is_that_of_all(run, out):
    run(samples="1")
    code, asked = run("--resume", samples="0:2")
    assert (code, len(asked)) == (10, 1)


def test_lines_of_other_queries_are_kept(run, out):
    run(samples="1", eps="1,2")
    kept = lines(out)
    code, asked = run("--resume", samples="0,2")
    assert (code, len(asked)) == (0, 2)
    assert lines(out)[:2] == kept
    code, asked = run("--resume", "--target", "1", samples="0")
    assert len(lines(out)) == 5


@pytest.mark.parametrize("more", [["--timeout", "9"], ["--memory", "3"], ["--conflicts", "99"], ["--jobs", "2"]])
def test_other_limits_are_the_same_command(run, out, more):
    run()
    assert run("--resume", *more)[1] == []


def test_lost_certificates_are_made_again(run, out):
    run("--certificates", samples="0:3")
    (out / "certificates" / "sample1_eps1.cert").unlink()
    code, asked = run("--certificates", "--resume", samples="0:3")
    assert (code, len(asked), len(lines(out))) == (10, 1, 3)
    assert main(["check", str(out)]) == 0


def test_unfinished_files_are_swept(run, out):
    run("--certificates", samples="0")
    (out / "certificates" / "sample2_eps1.cert.0a1b.partial").touch()
    run("--certificates", "--resume", samples="0,2")
    assert {path.name for path in (out / "certificates").iterdir()} == {"sample0_eps1.cert", "sample2_eps1.cert"}


def test_certificate_of_a_query_that_stays_open_is_taken_away(run, out, files, monkeypatch):
    run("--certificates", samples="0")
    (out / "results.jsonl").write_text("")
    monkeypatch.setattr("qbitsat.campaign.queries.verify", lambda query, **_: Verdict(UNKNOWN, "timeout"))
    assert main(files.arguments("--out", str(out), "--certificates", "--resume", samples="0")) == 5
    assert not list((out / "certificates").iterdir())


def test_overwrite_takes_away_old_certificates(run, out):
    run("--certificates", samples="0:3")
    run("--certificates", "--overwrite", samples="0")
    assert [path.name for path in (out / "certificates").iterdir()] == ["sample0_eps1.cert"]


# --- what is refused, with nothing changed ---


def test_resume_with_overwrite(run, capsys):
    refused(capsys, run("--resume", "--overwrite")[0], "--overwrite", "--resume")


def test_resume_without_out(files, capsys):
    refused(capsys, main(files.arguments("--resume")), "--resume: needs --out")


OTHERS = [["--engine", "sat"], ["--seed", "1"], ["--no-attack"], ["--certificates"]]


@pytest.mark.parametrize("more", OTHERS, ids=" ".join)
def test_results_of_other_options(run, out, capsys, more):
    run()
    before = lines(out)
    capsys.readouterr()
    code, asked = run("--resume", *more)
    name = more[0].removeprefix("--").removeprefix("no-")
    refused(capsys, code, "results.jsonl: line 1: was found with the option", f"option {name} ", "expected results of the same command")
    assert (asked, lines(out)) == ([], before)


def test_results_of_another_network(run, out, capsys, files):
    run()
    (layer,) = load(files.network).layers
    save(
        Network((Dense("copy", layer.input, layer.output, layer.requantizers, 2 * np.eye(2, dtype=np.int64), layer.affine.biases),)),
        files.network,
    )
    capsys.readouterr()
    refused(capsys, run("--resume")[0], "line 1: is about another network")


def test_results_of_another_input(run, out, capsys, files):
    run()
    np.save(files.inputs, np.load(files.inputs)[:, ::-1])
    np.save(files.labels, 1 - np.load(files.labels))
    capsys.readouterr()
    refused(capsys, run("--resume")[0], "is about another input")


def test_results_of_another_label(run, out, capsys, files):
    run()
    np.save(files.labels, 1 - np.load(files.labels))
    capsys.readouterr()
    refused(capsys, run("--resume")[0], "is about another label, ")


DAMAGES = [
    ("not JSON", "not valid JSON"), ("[]", "expected a JSON object"), ("{}", "is about another network"), ("", "not valid JSON"),
    ("[" * 100_000, "not valid JSON"), ('{"sample": [1]}', "is no whole number"), ('{"eps": {}}', "is no whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), DAMAGES, ids=[text[:8] for text, _ in DAMAGES])
def test_damaged_lines(run, out, capsys, text, said):
    run()
    whole = lines(out)
    damaged = whole[0] + text + "\n" + "".join(whole[1:])
    (out / "results.jsonl").write_text(damaged)
    capsys.readouterr()
    refused(capsys, run("--resume")[0], "results.jsonl: line 2: ", said)
    assert (out / "results.jsonl").read_text() == damaged


def test_two_lines_about_one_query(run, out, capsys):
    run(samples="0")
    (out / "results.jsonl").write_text(2 * lines(out)[0])
    capsys.readouterr()
    refused(capsys, run("--resume")[0], "line 2: a second line about sample 0, eps 1")


# --- one run at a time ---


def start(files: Files, folder: Path, script: str, *more: str, command: str = "verify") -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    arguments = files.arguments("--out", str(folder), *more, command=command)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment, **pipes)


RUNS = "from qbitsat.cli.main import entry; entry()"
# The query of sample 1 never ends.
HANGS = """
import time
import qbitsat.campaign.queries as queries
from qbitsat.verify import verify

def hang(query, **options):
    time.sleep(600 * (query.origin.get("sample") == 1))
    return verify(query, **options)

queries.verify = hang
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_folder_in_use_is_refused_until_its_run_is_gone(files, out, jobs):
    with start(files, out, HANGS + RUNS, "--jobs", jobs) as first:
        assert wait_until(lambda: (out / "results.jsonl").exists() and len(lines(out)) >= 2)
        before = lines(out)
        for more in ([], ["--overwrite"], ["--resume"]):
            for command in ("verify", "compare"):
                if command == "verify" or "--resume" not in more:
                    second = start(files, out, RUNS, *more, command=command)
                    printed, err = second.communicate(timeout=60)
                    assert (second.returncode, printed, err.count("\n")) == (2, "", 1)
                    assert f"{out}: in use by process {first.pid} on" in err
        assert lines(out)[: len(before)] == before
        first.kill()
    third = start(files, out, RUNS, "--resume")
    third.communicate(timeout=60)
    assert third.returncode == 10
    assert len(lines(out)) == 4


def test_without_locks_it_is_said(run, capsys, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "lockf", no_locks)
    assert run()[0] == 10
    assert "can't be locked (No locks available); see that no other run uses it\n" in capsys.readouterr().err
    monkeypatch.setattr(lock, "fcntl", None)
    assert run("--overwrite")[0] == 10
    assert "can't be locked (this system has no file locks)" in capsys.readouterr().err


# --- a full disk ---


def with_room_for(size: int, files: Files, folder: Path, *more: str) -> subprocess.CompletedProcess:
    """No file may grow beyond `size` bytes: as on a full disk, the last write is short, and the next one fails."""
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-m", "qbitsat", *files.arguments("--out", str(folder), *more)], capture_output=True, text=True, timeout=60,
        env=environment, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("size", [0, 1, 500, 1500, 2000])
def test_full_disk_leaves_whole_lines_and_resume_goes_on(files, out, size, jobs):
    result = with_room_for(size, files, out, "--jobs", jobs)
    assert result.returncode == 2
    assert result.stderr == f"qbitsat: error: {out / 'results.jsonl'}: can't be written: File too large\n"
    found = lines(out)
    assert all(line.endswith("}\n") for line in found)
    assert f"{len(found)} {'query' if len(found) == 1 else 'queries'} in" in result.stdout
    assert main(files.arguments("--out", str(out), "--resume")) == 10
    assert lines(out)[: len(found)] == found
    assert sorted(verdicts(out)) == [(sample, 1, None) for sample in range(4)]


def test_full_disk_leaves_no_half_certificate(files, out):
    result = with_room_for(400, files, out, "--certificates")
    assert result.returncode == 2
    assert result.stderr.startswith(f"qbitsat: error: {out}")
    assert result.stderr.endswith("can't be written: File too large\n")
    assert result.stderr.count("\n") == 1
    assert not list((out / "certificates").iterdir())
    assert main(files.arguments("--out", str(out), "--certificates", "--resume")) == 10
    assert main(["check", str(out), "--inputs", str(files.inputs), "--labels", str(files.labels)]) == 0


def test_kill_while_a_file_is_written_leaves_nothing_of_it(tmp_path):
    """On Linux it has no name until it is complete."""
    script = "import os; from qbitsat.importers.files import replacing\n"
    script += "with replacing('f') as stream: stream.write(b'x'); stream.flush(); os.kill(os.getpid(), 9)"
    environment = {**os.environ, "PYTHONPATH": str(Path(qbitsat.__file__).parent.parent)}
    assert subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment).returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


def test_named_partial_files_where_there_are_no_nameless_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("qbitsat.importers.files.OPEN_FILES", str(tmp_path / "absent"))
    files = write_files(tmp_path)
    assert main(files.arguments("--out", str(tmp_path / "out"), "--certificates")) == 10
    assert not list(tmp_path.rglob("*.partial"))
    assert load(files.network).sha256
