"""What several commands write to the terminal, and what they ask there."""
