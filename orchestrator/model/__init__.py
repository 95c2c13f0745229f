"""The values that everything else is about. Pure: no input or output."""
