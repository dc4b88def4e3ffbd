"""Integers that decide: inference, ranges, and what multipliers prove."""
