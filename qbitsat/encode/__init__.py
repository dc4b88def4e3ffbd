"""Query -> CNF with a variable map; Query -> SMT-LIB 2 text."""

from .cnf import Cnf, Encoding, WordMap, encode_disjuncts, encode_query
from .smtlib import SmtLib, encode_smtlib

__all__ = ["Cnf", "Encoding", "SmtLib", "WordMap", "encode_disjuncts", "encode_query", "encode_smtlib"]
