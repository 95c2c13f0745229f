"""Finds what is live on the gateways of a plan, and writes a plan that takes it down; sends only reads."""
