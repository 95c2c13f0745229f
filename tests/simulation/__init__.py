"""Whole runs inside one process on a virtual clock, from one seed: faults in every reply, crashes anywhere.

    python -m tests.simulation --seeds 1000

Each seed makes a plan, simulated platforms and their faults. It runs and resumes until the run has reached
its end, restores it, and checks the product's promises against the books of the platforms.
"""
