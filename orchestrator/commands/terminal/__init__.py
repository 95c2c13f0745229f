"""The lines that several commands write to the terminal, and the questions that they ask there."""
