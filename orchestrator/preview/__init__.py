"""What a run would do, judged by the live state of its targets; and the file that approves of it."""
