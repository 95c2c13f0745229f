"""Finds out what is wrong with a plan's gateways, by requests that change nothing."""
