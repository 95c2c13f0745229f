"""The live page of a run: its server, the stream of its state, and who may read it and steer by it."""
