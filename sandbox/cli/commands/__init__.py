"""The commands of ``sandbox``, one file each."""
