"""The operating system: files that a person names, the folder of runs, standard streams, signals, users."""
