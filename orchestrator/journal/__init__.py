"""The durable record of a run: SQLite, one writer thread, the run's folder and its lock."""
