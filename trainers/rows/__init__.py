"""From runs and files to datasets in the formats of TRL."""
