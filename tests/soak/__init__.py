"""Many nights, and long minutes: whether memory, descriptors or files grow while the work stays the same."""
