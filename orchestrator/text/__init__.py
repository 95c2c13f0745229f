"""Texts that people read: names, quoting, phrases. Pure."""
