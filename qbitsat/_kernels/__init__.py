"""Compiled modules, in three rooms; their sources are in csrc/qbitsat/_kernels."""
