"""Previews of a run by the live state of its targets, and the files that approve of a preview."""
