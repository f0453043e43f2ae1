"""The command line as a program: it gathers the commands and turns errors into exit codes."""

from __future__ import annotations

import sys

from sandbox.cli.app import app
from sandbox.errors import SandboxError

# Each module adds its commands to the application; ``sandbox --help`` lists them in this order.
# isort: off
from sandbox.cli.commands import compare  # noqa: F401
from sandbox.cli.commands import demo  # noqa: F401
from sandbox.cli.commands import doctor  # noqa: F401
from sandbox.cli.commands import evaluate  # noqa: F401
from sandbox.cli.commands import evolve  # noqa: F401
from sandbox.cli.commands import list as list_  # noqa: F401
from sandbox.cli.commands import plot  # noqa: F401
from sandbox.cli.commands import report  # noqa: F401
from sandbox.cli.commands import models  # noqa: F401
from sandbox.cli.commands import new  # noqa: F401
from sandbox.cli.commands import show_prompts  # noqa: F401
from sandbox.cli.commands import run  # noqa: F401
from sandbox.cli.commands import sweep  # noqa: F401
from sandbox.cli.commands import export  # noqa: F401
from sandbox.cli.commands import train  # noqa: F401
# isort: on


def main() -> None:
    """Run the command line, turning what the user can mend into one message and exit code 2."""
    import os

    # Our users did not ask for pings to anybody.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(args=arguments, prog_name="sandbox")
    except SandboxError as error:
        if debug:
            raise
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; what is finished is kept\n")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        sys.stderr.write(f"{type(error).__name__}: {error}\nThis is a fault of the program; --debug shows where.\n")
        sys.exit(1)
