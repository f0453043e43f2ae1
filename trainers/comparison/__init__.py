"""Several trainers on the same rows with the same budget."""
