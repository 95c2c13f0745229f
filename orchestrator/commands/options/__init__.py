"""The options that several commands share, and the values that they give to a command."""
