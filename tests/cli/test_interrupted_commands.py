"""Commands without a summary of queries: an interrupt says what is finished, and keeps it."""

import pytest

from qbitsat import examples
from qbitsat.cli import agree, quantize, reach
from qbitsat.cli.main import main

NETWORK, MODEL, IMAGES = map(str, (examples.network_path(), examples.float_path(), examples.images_path()))
AROUND = ["--inputs", IMAGES, "--eps", "1"]
BITS = ["bits", MODEL, *AROUND, "--samples", "0:2", "--target", "1"]


@pytest.mark.parametrize(
    ("arguments", "where", "line", "said"),
    [
        (["range", NETWORK, *AROUND, "--samples", "0"], reach, "range_line", "2 outputs are finished"),
        (["overflow", NETWORK, *AROUND, "--samples", "0"], reach, "width_line", "2 layers are finished"),
        (["agree", NETWORK, NETWORK, *AROUND, "--eps", "0"], agree, "_line", "2 queries are finished"),
        ([*BITS, "--format", "paper:B,input=u5.4"], quantize, "width_line", "2 widths are finished"),
        ([*BITS, "--per-layer", "--format", "power-of-two:6,input=u5.4"], quantize, "trial_line", "2 choices are finished"),
    ],
)
def test_an_interrupt_says_what_is_finished(monkeypatch, tmp_path, capsys, arguments, where, line, said):
    printed = []

    def second(*given):
        printed.append(given)
        if len(printed) == 2:
            raise KeyboardInterrupt
        return "line"

    monkeypatch.setattr(where, line, second)
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 130
    out, err = capsys.readouterr()
    assert f"qbitsat: interrupted; {said}\n" in err
    assert out.splitlines()[-1] == "line"
    if "bits" not in arguments:
        assert (tmp_path / "out" / "results.jsonl").read_text().count("\n") == 2
