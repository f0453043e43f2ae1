"""The same conversation by several frameworks, one script each; ``peers.py`` runs each within an environment of its own."""
