"""Queries of VNN-LIB, decided with a certificate that the checker accepts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qbitsat.certificate.check import check
from qbitsat.certificate.write import Source, write
from qbitsat.properties.vnnlib import Question, bind, read
from qbitsat.verify import Verdict, verify


def certified(text: str, files: Mapping[str, Path], folder: Path) -> tuple[Question, Verdict]:
    """The question of a text about networks in files, and its verdict, proved again from those."""
    path = folder / "q.vnnlib"
    path.write_text(text, encoding="utf-8")
    question = Question(bind(read(path), files))
    verdict = verify(question.query, certificates=True)
    write(folder / "q.cert", question.query, verdict, [Source(None)], question.record)
    checked = check(folder / "q.cert")
    assert (checked.accepted, checked.verdict) == (True, verdict.verdict), (checked.reason, text)
    return question, verdict
