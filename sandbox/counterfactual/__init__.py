"""What would have happened: two futures of one run, without and with an event, and how they differ."""
