"""The options that several commands share: what they are called, and which values they give to a command."""
