"""Copies of a language model in processes of their own: on this machine, or anywhere on a Ray cluster.

A copy loads its model with its first work. It may die at any time, with its process or its machine; what it was doing
is then not done, and whoever gave it the work is told so. Knows nothing of how work is dealt.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Protocol

from sandbox.errors import SandboxError
from sandbox.models.base import LanguageModel, Reply, Request
from sandbox.parallel import begin_worker, load_ray

# What a copy's libraries read from the environment. Keys are none of it: a model that has copies is a local one.
_PASSED_ON = (
    "SANDBOX_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM"
)  # fmt: skip


@dataclass(frozen=True)
class Described:
    """What the copies of a model know of it.

    Attributes:
        fingerprint: Of its weights or content.
        default_rater: The rater that suits it.
    """

    fingerprint: str
    default_rater: str


class WorkerDied(Exception):
    """A copy died before it had done its work; the same work may be given to another."""


class Copy(Protocol):
    """One copy, wherever it lives."""

    def describe(self) -> Future[Any]:
        """Load the model. Gives what it is (:class:`Described`), or why it cannot be loaded (a SandboxError)."""
        ...

    def generate(self, requests: Sequence[Request]) -> Future[Any]:
        """Answer requests. Gives a list of replies."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Speaker:
    """What lives in a copy's process: the model, loaded when it is first asked for.

    Args:
        uri: Of the model.
        settings: Of its kind.
        environment: Variables to set before anything is loaded.
    """

    def __init__(self, uri: str, settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        self._uri, self._settings = uri, dict(settings)
        self._loaded: LanguageModel | None = None

    def _model(self) -> LanguageModel:
        from sandbox.models.catalog import load_model

        if self._loaded is None:
            self._loaded = load_model(self._uri, **self._settings)
        return self._loaded

    def describe(self) -> Described | SandboxError:
        """Load the model, and say what it is or why it cannot be loaded."""
        try:
            model = self._model()
        except SandboxError as error:
            return error
        return Described(model.fingerprint, model.default_rater)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests, in order."""
        return self._model().generate(requests)


def environment() -> dict[str, str]:
    """What copies are told of this process's environment."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


class ProcessCopy:
    """A copy in a process on this machine."""

    def __init__(self, uri: str, settings: Mapping[str, Any], *, cpus: int) -> None:
        # Forking after torch has started threads can hang, so the process begins afresh.
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_begin, initargs=(uri, dict(settings), environment(), cpus)
        )

    def describe(self) -> Future[Any]:
        """See :meth:`Copy.describe`."""
        return self._submit(_describe)

    def generate(self, requests: Sequence[Request]) -> Future[Any]:
        """See :meth:`Copy.generate`."""
        return self._submit(_generate, list(requests))

    def close(self) -> None:
        """See :meth:`Copy.close`."""
        for process in list((self._pool._processes or {}).values()):
            process.terminate()  # what it is doing is of no use to anybody
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, *given)
        except BrokenProcessPool as error:  # it died while it had nothing to do
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken


_HERE: list[Speaker] = []


def _begin(uri: str, settings: Mapping[str, Any], variables: Mapping[str, str], cpus: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for whoever deals the work, and ends the copies
    begin_worker(cpus)
    _HERE[:] = [Speaker(uri, settings, variables)]


def _describe() -> Described | SandboxError:
    return _HERE[0].describe()


def _generate(requests: Sequence[Request]) -> list[Reply]:
    return _HERE[0].generate(requests)


class RayCopy:
    """A copy as an actor of the Ray cluster that runs or that ``RAY_ADDRESS`` names, else of one started here."""

    def __init__(self, uri: str, settings: Mapping[str, Any], *, cpus: int, gpus: float) -> None:
        ray = load_ray("engine='ray'")
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        self._ray = ray
        # Restarting is whoever deals the work's business, who must know of it.
        remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_restarts=0, scheduling_strategy="SPREAD")(Speaker)
        self._actor = remote.remote(uri, dict(settings), environment())

    def describe(self) -> Future[Any]:
        """See :meth:`Copy.describe`."""
        return self._actor.describe.remote().future()

    def generate(self, requests: Sequence[Request]) -> Future[Any]:
        """See :meth:`Copy.generate`."""
        return self._actor.generate.remote(list(requests)).future()

    def close(self) -> None:
        """See :meth:`Copy.close`."""
        if self._ray.is_initialized():
            with suppress(Exception):  # a cluster that is gone has ended it already
                self._ray.kill(self._actor)


def outcome(done: Future[Any]) -> Any:
    """What a copy's work came to.

    Raises:
        Died: the copy died first.
        Exception: what the model raised.
    """
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, BrokenProcessPool):
        raise WorkerDied("its process died, perhaps killed for want of memory") from error
    if type(error).__module__.startswith("ray.") and not hasattr(error, "cause"):  # a RayTaskError has the model's own
        raise WorkerDied(str(error).strip().splitlines()[0]) from error
    raise error
