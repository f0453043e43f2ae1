"""Checks of a run's feedback before anything is trained on it."""
