"""VNN-LIB: specifications of version 2.0 and 1.0, about networks in .onnx files whose integers are exact.

expressions, numbers, terms, reading    a file's text -> records
binding      records and .onnx files -> which tensor each variable is
cells        which integers floats from outside become
regions      what is said of inputs alone
meaning      comparisons of the numbers that integers stand for
joining      several networks as one
disjuncts, question, writing    all of it -> Query, and a witness -> the numbers of all variables
exact_floats float models that need no quantization
"""

from .binding import bind
from .question import Assignment, Question
from .reading import read, read_text
from .writing import write_tensors

__all__ = ["Assignment", "Question", "bind", "read", "read_text", "write_tensors"]
