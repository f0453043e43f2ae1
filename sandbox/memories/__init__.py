"""Memories of agents, one file per kind; ``base.py`` is their contract."""
