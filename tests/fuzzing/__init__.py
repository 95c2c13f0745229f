"""Inputs that nobody would write: for the readers of replies, plans, tables, approvals and journals.

``python -m tests.fuzzing`` makes them from the samples. A reader may refuse an input with its documented
error, and nothing else. An input that makes it fail otherwise is kept under ``tests/samples/crashes``, and a
quick test reads it again.
"""
