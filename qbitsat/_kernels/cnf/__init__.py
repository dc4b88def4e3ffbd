"""Clauses, gates, words and layers as clauses, and proofs over them."""
