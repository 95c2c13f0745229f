"""The benchmark: what a run costs, how near it comes to what its gateways allow, and other tools beside it.

``python -m bench`` measures and writes docs/benchmarks.md. Everything is a ratio to something measured in
turn with it, on the same machine and the same server: a number of seconds means nothing on a shared machine.
"""
