"""The reports of a run: one file a format, all written from the same ``ReportSource``."""
