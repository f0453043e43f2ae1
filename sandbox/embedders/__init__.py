"""Sentence embedders, one file a kind; ``base.py`` is their contract."""
