"""The run folder: written, read, resumed, replayed and exported. Knows no agents."""
