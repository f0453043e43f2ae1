"""How conversations run: what a protocol may yield, and the scheduler that batches it. Knows no agents, grids or files."""
