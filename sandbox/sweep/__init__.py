"""Many runs over a grid of settings and seeds, and the table of their results."""
