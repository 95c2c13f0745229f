"""Whole runs inside one process on a virtual clock, from one seed: faults in every reply, crashes anywhere.

    python -m tests.simulation --seeds 1000

Each seed makes a plan, a world and its misfortunes, runs and resumes until the run has reached its end, and
checks the product's promises against what the simulated platforms know to be true.
"""
