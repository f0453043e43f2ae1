"""Who lives in a world: how a world begins, runs a round and is repaired."""
