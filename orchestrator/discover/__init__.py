"""Finds the live targets of a plan's gateways, and writes a plan that takes them down; sends only reads."""
