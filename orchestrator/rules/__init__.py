"""What follows from what: pure decisions, without a clock, dice, files or a network."""
