"""What surrounds a session: loading, starting, resuming, restoring, steering."""
