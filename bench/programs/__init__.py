"""The programs that the benchmark measures, each run as a process of its own that prints one line of JSON.

None counts its own imports: its clock starts after them.
"""
