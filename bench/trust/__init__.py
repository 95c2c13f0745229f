"""What was tried to break the program, how often, and what broke: the figures of docs/trust.md.

Each command that tries keeps its trials in a file under ``figures``, by ``ledger``. ``python -m bench.trust``
writes the page of all of them.
"""
