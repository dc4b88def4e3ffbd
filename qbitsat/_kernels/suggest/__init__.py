"""Floats that only suggest: multipliers, points, walks. Compiled with loose floating point, and no other room is."""
