"""What the folder of a run keeps when an error ends it, and how to go on: the end of the error's message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from sandbox.errors import ReplayMiss, SandboxError
from sandbox.store.run import open_run

R = TypeVar("R")

REPEAT = "Correct the cause and repeat the same command: what is finished is kept"


def tells_what_is_kept(method: Callable[[Any], R]) -> Callable[[Any], R]:
    """Let errors of a method of a world, which has begun its run, say what is kept of it and how to continue.

    A temporary run folder, which ends with its world, is not spoken of.
    """

    @wraps(method)
    def told(world: Any) -> R:
        try:
            return method(world)
        except ReplayMiss:  # a replay that is resumed misses the same
            raise
        except SandboxError as error:
            if not (world._temporary or error.kept):
                error.kept = _kept(world.path)
            raise

    return told


@contextmanager
def closed_if_refused(world: Any) -> Iterator[None]:
    """Close the run folder if the block raises, so that it can be resumed in the same process."""
    try:
        yield
    except BaseException:
        world.close()
        raise


@contextmanager
def repeated_by_command() -> Iterator[None]:
    """Let an error of a run that a command resumes by itself say so."""
    try:
        yield
    except SandboxError as error:
        error.kept = error.kept and REPEAT
        raise


def _kept(path: Path) -> str:
    run = open_run(path)
    begun = len(run.interactions(run.rounds))
    parts = [f"{run.rounds} complete round{'s' * (run.rounds != 1)}"]
    parts += [f"{begun} interaction{'s' * (begun != 1)} of round {run.rounds + 1}"] if begun else []
    branch = f", or a branch: --from {path}@{run.rounds}" if run.rounds else ""
    return (
        f"Kept in {path}: {', '.join(parts)}, and every finished call. Correct the cause and continue with --resume --out "
        f"{path} (in Python: world.close(), then World(..., out={str(path)!r}, resume=True)). Other models or settings need "
        f"another --out{branch}"
    )
