"""Raters of answers, one file per kind; ``base.py`` is their contract."""
