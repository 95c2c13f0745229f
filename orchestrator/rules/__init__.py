"""Product rules as pure decisions: retries, admissions, pace, stops, order, forecast, exit status."""
