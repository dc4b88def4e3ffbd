"""Assignments as files of ONNX tensors, one for each variable."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InputError
from ...importers.files import write_atomically
from .question import Assignment, Question


def write_tensors(question: Question, found: Assignment, folder: Path) -> None:
    """NAME.pb for each variable: a TensorProto of the file's element type and the variable's shape."""
    from onnx import numpy_helper

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}, expected a folder that can be written") from error
    for (variable, values), tensors in zip(found, question.bound.tensors, strict=True):
        array = np.array(values, tensors[0].border.dtype).reshape(variable.shape)
        write_atomically(folder / f"{variable.name}.pb", numpy_helper.from_array(array, variable.name).SerializeToString())
