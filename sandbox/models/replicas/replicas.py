"""Load-balanced replicas of a local model, each in its own process, on one machine or a cluster.

A free replica takes the next portion of requests, so that a slow machine does less. A replica that dies is restarted and its
portion repeated. Each request has its own seed, so that replies equal those of a single copy, up to rounding (see
:class:`~sandbox.models.local.hf.HFModel`).
"""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Any, Literal, get_args
from weakref import finalize

from sandbox import registry
from sandbox.errors import ModelNotFound, SandboxError, SettingsError, nearest
from sandbox.models.base import Reply, Request
from sandbox.models.catalog import WEIGHTS_HERE, full_uri, resolve
from sandbox.models.local.bundled import BUNDLED
from sandbox.models.replicas.worker_process import Copy, Described, ProcessCopy, RayCopy, WorkerDied, outcome
from sandbox.parallel import load_ray

_LOG = logging.getLogger(__name__)

Engine = Literal["processes", "ray"]

# A batch of a local model; with smaller portions, shared prefixes would be read more often.
_PORTION = 32
# Number of crashes after which a copy is not restarted, or a request not repeated.
_DEATHS = 3
_START_S = 900.0


class Replicas:
    """Several copies of a local model.

    Args:
        uri: URI of the model.
        n: Number of copies.
        engine: ``processes`` of this machine, or actors of a ``ray`` cluster: the one in ``RAY_ADDRESS``, else one on this
            machine. Every machine of a cluster needs this package and, at the same path, the folder of the model.
        cpus: Cores per copy; by default an equal share of this machine's, and 1 on Ray.
        gpus: GPUs per copy, assigned by Ray; copies in ``processes`` all use the same device.
        start_s: Maximum time for a copy to start while no other is alive, in seconds.
        **settings: Settings of the kind of model.

    Attributes:
        uri: URI of the model; the record of a run does not depend on the number of copies.
        fingerprint: Fingerprint of the model.
        default_rater: Default rater of the model.

    Raises:
        ModelNotFound: the model cannot be loaded, or no copy could be started.
        SettingsError: a setting is invalid, or the model is remote.
    """

    def __init__(
        self,
        uri: str,
        n: int,
        *,
        engine: Engine = "processes",
        cpus: int | None = None,
        gpus: float = 0.0,
        start_s: float = _START_S,
        **settings: Any,
    ) -> None:
        check_replicas(n, engine)
        if (cpus is not None and cpus < 1) or gpus < 0:
            raise SettingsError(f"replicas: cpus={cpus} must be 1 or more, and gpus={gpus} 0 or more")
        if gpus and engine != "ray":
            raise SettingsError("replicas: gpus are assigned by Ray; add --engine ray, or set the device of the model")
        made = registry.load("models", resolve(uri)[0])
        if inspect.isclass(made) and hasattr(made, "agenerate"):
            raise SettingsError(
                f"{uri} is remote, and replicas are copies of local models; the setting max_in_flight limits concurrent "
                "requests to a server"
            )
        self.uri = full_uri(uri)
        shared = max(1, (os.cpu_count() or 1) // n)
        self._make = _maker(_portable(self.uri), settings, engine, cpus or (1 if engine == "ray" else shared), gpus)
        self._start_s = start_s
        # Idle copies may have died on their own: a request that meets all of them is not to blame.
        self._fatal = n + _DEATHS - 1
        self._copies: dict[int, Copy] = {}
        self._starting: dict[Future[Any], int] = {}
        self._deaths: Counter[int] = Counter()
        self._free: deque[int] = deque()
        finalize(self, _close, self._copies)
        for place in range(n):
            self._start(place)
        described = self._first()
        self.fingerprint, self.default_rater = described.fingerprint, described.default_rater

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A request that no copy could answer gives ``Reply.error``."""
        replies: list[Reply | None] = [None] * len(requests)
        size = max(1, min(_PORTION, -(-len(requests) // max(1, len(self._copies)))))
        left = deque(range(i, min(i + size, len(requests))) for i in range(0, len(requests), size))
        deaths: Counter[range] = Counter()
        busy: dict[Future[Any], tuple[int, range]] = {}
        while left or busy:
            while left and self._free:
                place, portion = self._free.popleft(), left.popleft()
                busy[self._copies[place].generate([requests[i] for i in portion])] = (place, portion)
            done = self._wait(busy)
            if not done:
                break
            for future in done:
                if future in self._starting:
                    self._started(future)
                    continue
                place, portion = busy.pop(future)
                try:
                    answers = outcome(future)
                except WorkerDied as death:
                    _LOG.warning("a copy of %s died (%s); its %d requests are repeated", self.uri, death, len(portion))
                    self._start(place)
                    deaths[portion] += 1
                    if deaths[portion] < self._fatal:
                        left.appendleft(portion)
                    elif len(portion) == 1:
                        replies[portion[0]] = _failed(f"{self.uri}: {self._fatal} copies died on this request")
                    else:  # one of them may be the cause: the others are repeated without it
                        left.extendleft(range(i, i + 1) for i in reversed(portion))
                except Exception as error:  # the boundary: a failed call is data
                    self._free.append(place)
                    cause = getattr(error, "cause", error)
                    for i in portion:
                        replies[i] = _failed(f"{self.uri}: {type(cause).__name__}: {cause}")
                else:
                    self._free.append(place)
                    for i, reply in zip(portion, answers, strict=True):
                        replies[i] = reply
        return [r if r is not None else _failed(f"{self.uri}: none of its copies is alive") for r in replies]

    def close(self) -> None:
        """End all copies."""
        _close(self._copies)
        self._starting.clear()
        self._free.clear()

    def _start(self, place: int) -> None:
        old = self._copies.pop(place, None)
        if old is not None:
            old.close()
        self._copies[place] = copy = self._make()
        self._starting[copy.describe()] = place

    def _started(self, future: Future[Any]) -> Described | SandboxError | None:
        """Handle a copy that has started, or failed to start."""
        place = self._starting.pop(future)
        try:
            described: Described | SandboxError = outcome(future)
        except WorkerDied as death:
            self._deaths[place] += 1
            if self._deaths[place] < _DEATHS:
                self._start(place)
                return None
            described = ModelNotFound(f"copies of {self.uri} die on start: {death}")
        if isinstance(described, SandboxError):
            _LOG.warning("%s; continuing with fewer copies", described)
            self._copies.pop(place).close()
        else:
            self._deaths[place] = 0
            self._free.append(place)
        return described

    def _first(self) -> Described:
        """Wait until one copy is ready; the others join later."""
        while self._starting:
            for future in self._wait({}):
                described = self._started(future)
                if isinstance(described, Described):
                    return described
                if described is not None:
                    self.close()
                    raise described
        raise ModelNotFound(
            f"no copy of {self.uri} could be started within {self._start_s:.0f} s; check memory and cores"
        )

    def _wait(self, busy: dict[Future[Any], Any]) -> set[Future[Any]]:
        """Wait for any copy; if none is working, at most ``start_s`` seconds. Empty if none finished."""
        began = time.monotonic()
        done, _ = wait([*busy, *self._starting], None if busy else self._start_s, FIRST_COMPLETED)
        if not done and self._starting:
            _LOG.warning("no copy of %s could be started in %.0f s", self.uri, time.monotonic() - began)
            self._starting.clear()
        return done


def check_replicas(n: int, engine: str) -> None:
    """Check the number and the engine of replicas before anything starts.

    Raises:
        SettingsError: the number is below 1, or the engine is unknown or not installed.
    """
    if n < 1:
        raise SettingsError(f"replicas={n} must be at least 1")
    if engine not in get_args(Engine):
        known = get_args(Engine)
        raise SettingsError(f"engine={engine!r} is not one of {', '.join(known)}.{nearest(engine, known)}")
    if engine == "ray":
        load_ray("engine='ray'")


def _maker(uri: str, settings: dict[str, Any], engine: str, cpus: int, gpus: float) -> Callable[[], Copy]:
    if engine == "ray":
        return lambda: RayCopy(uri, settings, cpus=cpus, gpus=gpus)
    return lambda: ProcessCopy(uri, settings, cpus=cpus)


def _portable(uri: str) -> str:
    """The URI with absolute paths, for a process in another folder."""
    kind, rest = resolve(uri)
    path, colon, name = rest.partition(".py:") if ".py:" in rest else (rest, "", "")
    found = Path(path + (".py" if colon else "")).expanduser()
    if not rest or not found.exists() or (kind in WEIGHTS_HERE and rest == BUNDLED):
        return uri
    return f"{kind}:{found.resolve()}" + (f":{name}" if colon else "")


def _failed(error: str) -> Reply:
    return Reply("", finish_reason="error", error=error)


def _close(copies: dict[int, Copy]) -> None:
    for place in list(copies):
        copies.pop(place).close()
