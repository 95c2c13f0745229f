"""Traces and metrics of a run, for the systems that monitor it."""
