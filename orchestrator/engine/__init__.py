"""From an open journal to the end of a session: waves, workers, targets."""
