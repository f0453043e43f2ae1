"""The pictures of a run, one file each."""
