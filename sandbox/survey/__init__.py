"""Surveys of a society, and their comparison with answers of people."""
