"""The operating system beside us: files that a person names, standard streams, signals."""
