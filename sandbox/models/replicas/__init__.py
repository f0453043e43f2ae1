"""Copies of one local model, in processes of this machine or actors of a Ray cluster."""
