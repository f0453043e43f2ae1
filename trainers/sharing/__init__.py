"""Models, rows and runs with their cards, pushed to a hub."""
