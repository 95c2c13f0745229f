"""A run across network zones: the work and the results in Temporal, the requests in each zone's worker."""
