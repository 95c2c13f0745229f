"""What the HTML page is made of: its template, style and script, its charts, and its rows of targets."""
