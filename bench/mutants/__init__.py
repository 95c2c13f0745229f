"""Mutation testing of the modules that decide: each small change of their code should make a test fail.

``python -m bench.mutants [MODULE...]`` (``make mutants``) changes one place at a time, runs the tests of the
module against the change in a process of its own, and keeps what nothing noticed for docs/trust.md.

Why not a tool: mutmut 3 wraps each function in a trampoline. That makes the statistical tests of the pace run
into their timeouts before the first mutant is tried, and it leaves constants of a module alone.
"""
