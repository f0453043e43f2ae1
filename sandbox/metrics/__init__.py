"""Numbers computed from records. Knows no folder."""
