"""Simulated runs beyond one machine: a driver, workers of zones and a Temporal server on one virtual clock.

The driver, the workers and the workflows are the program's own; Temporal's are its client and its machinery
for workflows. Played are the server (see ``server``) and the polls of a worker.
"""
