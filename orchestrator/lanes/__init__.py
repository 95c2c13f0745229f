"""One gateway of one run, as its workers share it: pace, login, masking, pauses."""
