"""Raters of answers, one file a kind; ``base.py`` is their contract."""
