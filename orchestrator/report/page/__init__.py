"""The parts of the HTML page: its template, style and script, its charts, and its rows of targets."""
