"""``python -m sandbox``, as torchrun starts it."""

from sandbox.cli.main import main

main()
