"""One exception a cause. The command line prints the message and exits with code 2; nothing here is a bug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SandboxError(Exception):
    """What the user can mend: the message says what was given, what was expected and what to do."""


class ScenarioError(SandboxError):
    """A scenario, or a setting of the society, cannot work. All faults found are in the one message."""


class SettingsError(SandboxError):
    """A setting is unknown or has a value of the wrong kind."""


class UnknownPlugin(SandboxError):
    """No plugin of that kind and name is installed."""


class BrokenPlugin(SandboxError):
    """A plugin is installed but cannot be imported, or two packages claim its name."""


class NewPluginError(SandboxError):
    """A plugin to begin with cannot be written: its name cannot be used, or a file is there already."""


class ModelNotFound(SandboxError):
    """A language model, adapter, embedder or reward model is not where its URI says."""


class DataFileError(SandboxError):
    """A file of questions, examples or rows cannot be read as what it was said to be."""


class RunNotFound(SandboxError):
    """The folder is not a run."""


class RunExists(SandboxError):
    """The folder already holds a run, and nothing said to go on with it."""


class RunLocked(SandboxError):
    """Another process is writing to the run."""


class RunVersion(SandboxError):
    """The run was written under another schema."""


class NothingToShow(SandboxError):
    """A run has nothing yet of what is to be shown."""


class ToolNotFound(SandboxError):
    """A program or package that only this needs is not installed; the message gives the command."""


class ReplayMiss(SandboxError):
    """A replayed run was asked something that its record does not hold."""


class TrainingDataError(SandboxError):
    """There are no rows to learn from, or rows of the wrong kind."""


class TrainingDiverged(SandboxError):
    """The loss became NaN or infinite."""


class ProtocolError(SandboxError):
    """A protocol yielded something that the scheduler does not know."""


def nearest(given: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant.

    Returns:
        ``" Did you mean 'x'?"`` with its leading space, or an empty string.
    """
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
