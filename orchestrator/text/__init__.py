"""Texts that people read: names, invisible characters, counts, times, Markdown. Pure."""
