"""The entry point of the command line: registers the commands and turns errors into exit codes."""

from __future__ import annotations

import signal
import sys
import threading

from sandbox.cli.app import app
from sandbox.errors import SandboxError, SettingsError
from sandbox.process_settings import let_threads_sleep
from sandbox.storage_errors import storage_error

# Each module adds its commands to the application; ``sandbox --help`` lists them in this order.
# isort: off
from sandbox.cli.commands import compare  # noqa: F401
from sandbox.cli.commands import demo  # noqa: F401
from sandbox.cli.commands import doctor  # noqa: F401
from sandbox.cli.commands import why  # noqa: F401
from sandbox.cli.commands import evaluate  # noqa: F401
from sandbox.cli.commands import evolve  # noqa: F401
from sandbox.cli.commands import list as list_  # noqa: F401
from sandbox.cli.commands import plot  # noqa: F401
from sandbox.cli.commands import report  # noqa: F401
from sandbox.cli.commands import models  # noqa: F401
from sandbox.cli.commands import export_model  # noqa: F401
from sandbox.cli.commands import new  # noqa: F401
from sandbox.cli.commands import show_prompts  # noqa: F401
from sandbox.cli.commands import run  # noqa: F401
from sandbox.cli.commands import what_if  # noqa: F401
from sandbox.cli.commands import sweep  # noqa: F401
from sandbox.cli.commands import survey  # noqa: F401
from sandbox.cli.commands import export  # noqa: F401
from sandbox.cli.commands import train  # noqa: F401
from sandbox.cli.commands import push  # noqa: F401
# isort: on


_RESUMED = ("run", "train", "evaluate")  # with --resume
_REPEATED = ("sweep", "what-if", "survey", "compare", "evolve", "demo")  # finished parts are not repeated


class _Stopped(BaseException):
    """Ctrl-C, or a request to terminate; typer would end without a word on a KeyboardInterrupt."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _stop(number: int, frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # a second signal ends at once
    raise _Stopped(128 + number)


def _check_text(arguments: list[str]) -> None:
    """Refuse arguments that are not UTF-8, such as names of files from other systems: no record can hold them."""
    for argument in arguments:
        if not argument.isprintable() and any("\udc80" <= character <= "\udcff" for character in argument):
            raise SettingsError(f"{argument!a} is not UTF-8; rename the file or folder, or correct the argument")


def _stopped_message(arguments: list[str]) -> str:
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in _RESUMED:
        return "Stopped. What is finished is kept; continue with the same command, its --out and --resume."
    if command in _REPEATED:
        return "Stopped. What is finished is kept; continue with the same command."
    return "Stopped."


def main() -> None:
    """Run the command line; an error that the user can fix becomes one message and exit code 2.

    Ctrl-C and SIGTERM say how to continue; the exit codes are 130 and 143.
    """
    import os

    let_threads_sleep()
    # No telemetry by default.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, _stop)
    try:
        _check_text(arguments)
        app(args=arguments, prog_name="sandbox")
    except SandboxError as error:
        if debug:
            raise
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(2)
    except _Stopped as stopped:
        sys.stderr.write(f"{_stopped_message(arguments)}\n")
        sys.exit(stopped.code)
    except Exception as error:
        if debug:
            raise
        if (storage := storage_error(error)) is not None:
            sys.stderr.write(f"{type(storage).__name__}: {storage}\n")
            sys.exit(2)
        sys.stderr.write(f"{type(error).__name__}: {error}\nThis is a bug. Re-run with --debug for the traceback.\n")
        sys.exit(1)
