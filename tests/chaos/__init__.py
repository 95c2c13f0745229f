"""Faults in real processes: the program beside the simulators, and the simulators' books as the judge.

``python -m tests.chaos`` plays rounds of the scenes in ``scenes`` and keeps them for docs/trust.md.
"""
