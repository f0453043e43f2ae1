"""One exception per cause. The command line prints the message and exits with code 2; none of these is a bug."""

from __future__ import annotations

import difflib
import sys
import sysconfig
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

_LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class SandboxError(Exception):
    """An error that the user can fix: the message states what was given, what was expected and what to do.

    Attributes:
        kept: What is kept of work that had begun, and how to continue it: the end of the message. Whoever runs the work for
            another command may replace it.
    """

    kept: str = ""

    def __str__(self) -> str:
        said = super().__str__()
        return f"{said.removesuffix('.')}. {self.kept}" if self.kept else said


class ScenarioError(SandboxError):
    """A scenario, or a setting of the society, is invalid. The message lists all faults."""


class SettingsError(SandboxError):
    """A setting is unknown or has an invalid value."""


class CostCapReached(SandboxError):
    """A cap on the cost of calls stops work that a higher cap can resume."""


class UnknownPlugin(SandboxError):
    """No plugin of that kind and name is installed."""


class BrokenPlugin(SandboxError):
    """A plugin is installed but cannot be imported, or two packages claim its name."""


class NewPluginError(SandboxError):
    """A starter plugin cannot be written: its name is invalid, or a file already exists."""


class ModelNotFound(SandboxError):
    """A language model, adapter, embedder or reward model is not where its URI says."""


class ChatTemplateError(SandboxError):
    """The chat template of a model refuses a conversation."""


class DataFileError(SandboxError):
    """A file of questions, examples or rows cannot be read in its format."""


class RunNotFound(SandboxError):
    """The folder is not a run."""


class RunExists(SandboxError):
    """The folder already holds a run or another result, and may not be resumed or overwritten."""


class DamagedFile(SandboxError):
    """A file of a result folder is damaged: it is not what the program wrote."""


class StorageError(SandboxError):
    """A disk or folder does not allow a file to be read or written: it is full, read-only, or the path is no folder."""


class RunLocked(SandboxError):
    """Another process is writing to the run."""


class RunVersion(SandboxError):
    """The run or result has another schema version."""


class NothingToShow(SandboxError):
    """The run does not contain what a plot or page needs."""


class PushError(SandboxError):
    """A model or dataset cannot be pushed to a hub: it refuses or cannot be reached, or the content is not fit to share."""


class ToolNotFound(SandboxError):
    """An optional program or package is not installed; the message gives the command."""


class ReplayMiss(SandboxError):
    """The record of a replayed run lacks a reply, rating or embedding."""


class TrainingDataError(SandboxError):
    """There are no training rows, or rows of the wrong kind."""


class TrainingDiverged(SandboxError):
    """The loss became NaN or infinite."""


class PopulationLeft(SandboxError):
    """A complete round that is settled again would add or remove agents, which a record does not allow."""


class ProtocolError(SandboxError):
    """A protocol yielded an object that the scheduler does not support."""


def author_line() -> str:
    """Where the running code of a scenario, protocol or script stands: ``FILE:LINE: ``; empty if there is none.

    It is the innermost function outside this package and Mesa, on this side of the command line.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not _is_authors(frame):
        frame = None if str(frame.f_globals.get("__name__", "")).startswith("sandbox.cli") else frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}: "


def failing_line(error: BaseException) -> str:
    """The innermost line at which an error was raised outside this package, Mesa and libraries: ``FILE:LINE: ``; or empty."""
    own, other, trace = "", "", error.__traceback__
    while trace is not None:
        if _is_authors(trace.tb_frame):
            file = trace.tb_frame.f_code.co_filename
            found = f"{file}:{trace.tb_lineno}: "
            own, other = (own, found) if file.startswith(_LIBRARIES) else (found, other)
        trace = trace.tb_next
    return own or other  # an installed plugin lies among libraries


def failing_place(error: BaseException) -> str:
    """As :func:`failing_line`, without the folder, to end a message: ``" at FILE:LINE"``; or empty."""
    line = failing_line(error).removesuffix(": ")
    return f" at {Path(line).name}" if line else ""


def _is_authors(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package not in ("sandbox", "mesa") and not frame.f_code.co_filename.startswith("<frozen")


def nearest(given: str, known: Iterable[str]) -> str:
    """Suggest the known name that was probably meant.

    Returns:
        ``" Did you mean 'x'?"`` with its leading space, or an empty string.
    """
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def require_packages(what: str, *modules: str) -> None:
    """Check that packages can be imported, without importing them.

    Args:
        what: Feature that needs them, for the message.
        modules: Import names of the packages.

    Raises:
        ToolNotFound: some are not installed; the message gives the command.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ToolNotFound(
            f"{what} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. Install with: "
            f"pip install {' '.join(name.replace('_', '-') for name in missing)}"
        )
