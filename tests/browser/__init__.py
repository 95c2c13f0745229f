"""What people see, in a real browser: the report and the live page."""
