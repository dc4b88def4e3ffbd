"""Query -> CNF with a variable map."""

from .cnf import Cnf, WordMap, encode_query

__all__ = ["Cnf", "WordMap", "encode_query"]
