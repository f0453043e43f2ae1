"""Sentence embedders, one file per kind; ``base.py`` is their contract."""
