"""The command line; the only package that may import all others.

Commands import what they need inside their functions, so that ``sandbox --help`` is fast. Exit codes: 0 success, 2 an
error in the user's input, 1 any other failure.
"""
