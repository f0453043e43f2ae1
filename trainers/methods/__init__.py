"""The built-in trainers, one file each."""
