"""The operating system: files that a person names, standard streams, signals, users."""
