"""Certificates: files that prove a verdict to a checker that shares nothing with what found it."""
