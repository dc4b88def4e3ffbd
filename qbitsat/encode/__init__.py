"""Query -> CNF with a variable map; Query -> SMT-LIB 2 text."""

from .cnf import Cnf, WordMap, encode_query
from .smtlib import SmtLib, encode_smtlib

__all__ = ["Cnf", "SmtLib", "WordMap", "encode_query", "encode_smtlib"]
