"""Listeners that show a run while it goes on: live picture, plain lines, JSON lines and log."""
