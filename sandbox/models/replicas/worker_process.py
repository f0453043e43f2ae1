"""One copy of a language model in a process, on this machine or on a Ray cluster.

A copy loads its model on first use. It may die at any time, with its process or its machine; its current requests then fail
with :class:`WorkerDied`. Knows nothing of load balancing.
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

# Environment variables that are passed to copies. Keys are not among them: replicated models are local.
_PASSED_ON = (
    "SANDBOX_CACHE", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM"
)  # fmt: skip


@dataclass(frozen=True)
class Described:
    """Description of a model by its copies.

    Attributes:
        fingerprint: Hash of its weights or content.
        default_rater: Its default rater.
    """

    fingerprint: str
    default_rater: str


class WorkerDied(Exception):
    """A copy died before it finished; its requests can be sent to another."""


class Copy(Protocol):
    """The interface of a copy, local or on a cluster."""

    def describe(self) -> Future[Any]:
        """Load the model. The future gives its description, or the SandboxError that prevents loading."""
        ...

    def generate(self, requests: Sequence[Request]) -> Future[Any]:
        """Answer requests. The future gives a list of replies."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Speaker:
    """The model inside the process of a copy, loaded on first use.

    Args:
        uri: URI of the model.
        settings: Settings of the kind of model.
        environment: Variables to set before loading.
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
        """Load the model; return its description, or the error that prevents loading."""
        try:
            model = self._model()
        except SandboxError as error:
            return error
        return Described(model.fingerprint, model.default_rater)

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer requests, in order."""
        return self._model().generate(requests)


def environment() -> dict[str, str]:
    """The variables of this process's environment that are passed to copies."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


class ProcessCopy:
    """A copy in a process on this machine."""

    def __init__(self, uri: str, settings: Mapping[str, Any], *, cpus: int) -> None:
        # Forking after torch has started threads can hang, hence spawn.
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
            process.terminate()  # its current work is no longer needed
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        try:
            return self._pool.submit(function, *given)
        except BrokenProcessPool as error:  # it died while idle
            broken: Future[Any] = Future()
            broken.set_exception(error)
            return broken


_HERE: list[Speaker] = []


def _begin(uri: str, settings: Mapping[str, Any], variables: Mapping[str, str], cpus: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles interrupts, and stops the copies
    begin_worker(cpus)
    _HERE[:] = [Speaker(uri, settings, variables)]


def _describe() -> Described | SandboxError:
    return _HERE[0].describe()


def _generate(requests: Sequence[Request]) -> list[Reply]:
    return _HERE[0].generate(requests)


class RayCopy:
    """A copy as an actor of the running Ray cluster or the one in ``RAY_ADDRESS``, else of a local one."""

    def __init__(self, uri: str, settings: Mapping[str, Any], *, cpus: int, gpus: float) -> None:
        ray = load_ray("engine='ray'")
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        self._ray = ray
        # Restarts are left to Replicas, which counts crashes.
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
            with suppress(Exception):  # the cluster may be gone already
                self._ray.kill(self._actor)


def outcome(done: Future[Any]) -> Any:
    """Result of a copy's future.

    Raises:
        WorkerDied: the copy died.
        Exception: the model raised it.
    """
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, BrokenProcessPool):
        raise WorkerDied("its process died, perhaps out of memory") from error
    if type(error).__module__.startswith("ray.") and not hasattr(error, "cause"):  # a RayTaskError has the model's own
        raise WorkerDied(str(error).strip().splitlines()[0]) from error
    raise error
