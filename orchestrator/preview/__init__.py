"""What a run would do, by the live state of its targets; and the file in which somebody approves of that."""
