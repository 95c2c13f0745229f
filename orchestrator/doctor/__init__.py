"""Finds faults of a plan's gateways, by requests that change nothing."""
