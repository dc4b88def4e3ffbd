"""The cases of tests/vnnlib_cases: their answers by running all inputs, and those of `verify`."""

import ast
from pathlib import Path

import pytest
from vnnlib_cases import generate

from qbitsat.cli.main import main

CASES = list(generate.paths())


@pytest.mark.parametrize(("case", "path"), CASES, ids=lambda part: getattr(part, "stem", ""))
def test_answer(case, path, tmp_path, capsys):
    module = generate.loaded(path)
    model, answer = module.build_onnx_model().SerializeToString(), module.return_expected_output()
    assert generate.answer_of(case, model) == answer
    (tmp_path / "n.onnx").write_bytes(model)
    (tmp_path / "q.vnnlib").write_text(module.build_vnnlib_spec(), encoding="utf-8")
    main(["verify", str(tmp_path / "q.vnnlib"), "--network", f"N={tmp_path / 'n.onnx'}"])
    assert capsys.readouterr().out.splitlines()[0] == answer.lower()
    assert ast.dump(ast.parse(path.read_text(encoding="utf-8"))) == ast.dump(ast.parse(generate.module(case, answer))), "generate.py"


def test_both_answers_are_there():
    answers = list(answers_given().values())
    assert (len(answers) >= 30, min(answers.count("SAT"), answers.count("UNSAT")) >= 10) == (True, True)


def answers_given() -> dict[Path, str]:
    return {path: generate.loaded(path).return_expected_output() for _, path in CASES}


def test_no_case_is_left_over_and_the_readme_has_them_all():
    assert {path for _, path in CASES} == set(generate.HERE.glob("*/*.py"))
    assert generate.README.read_text(encoding="utf-8") == generate.readme(answers_given()), "generate.py"
