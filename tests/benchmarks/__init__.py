"""Benchmarks; a package, so that what is here does not stand in the way of packages of the same names."""
