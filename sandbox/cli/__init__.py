"""The command line: the roof that alone reaches every room.

Commands import what they need inside their functions, so that ``sandbox --help`` answers at once. Exit codes: 0
done, 2 the user's input, 1 anything else.
"""
