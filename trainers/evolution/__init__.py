"""Generations of simulation, training and evaluation."""
