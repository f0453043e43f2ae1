"""Several copies of one local model that share its work, each in a process of its own; on a cluster, too.

Requests are dealt in portions, and whichever copy is free takes the next, so that a slow machine does less. A copy that
dies is started anew and its portion done again. Every request is keyed by its own seed, so that replies are those of
one copy, as far as the arithmetic of its type allows (see :class:`~sandbox.models.local.hf.HFModel`).
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
from sandbox.models.catalog import full_uri, resolve
from sandbox.models.replicas.worker_process import Copy, Described, ProcessCopy, RayCopy, WorkerDied, outcome
from sandbox.parallel import load_ray

_LOG = logging.getLogger(__name__)

Engine = Literal["processes", "ray"]

# A batch of a local model; a smaller portion would read what prompts share more often than need be.
_PORTION = 32
# A copy that dies each time it is started is given up, and a request that kills every copy so many times over.
_DEATHS = 3
_START_S = 900.0


class Replicas:
    """Several copies of a local model.

    Args:
        uri: Of the model.
        n: How many copies.
        engine: ``processes`` of this machine, or actors of a ``ray`` cluster: the one that ``RAY_ADDRESS`` names,
            else one of this machine. Every machine of a cluster needs this program and, under the same path, the
            model's folder.
        cpus: Cores for each copy; by default this machine's, shared among the copies, and 1 on Ray.
        gpus: GPUs for each copy, which Ray hands out; copies in ``processes`` all take the same device.
        start_s: How long a copy may take to start when no other lives, in seconds.
        **settings: Of the model's kind.

    Attributes:
        uri: The model's own: a run does not know how many copies it was made with.
        fingerprint: The model's own.
        default_rater: The model's own.

    Raises:
        ModelNotFound: it cannot be loaded, or no copy could be started.
        SettingsError: a setting has no sense, or the model is a remote one.
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
            raise SettingsError("replicas: gpus are handed out by Ray; add --engine ray, or give the model a device")
        made = registry.load("models", resolve(uri)[0])
        if inspect.isclass(made) and hasattr(made, "agenerate"):
            raise SettingsError(
                f"{uri} is remote, and copies are of local models; what a server is sent at once is its own setting, "
                "max_in_flight"
            )
        self.uri = full_uri(uri)
        shared = max(1, (os.cpu_count() or 1) // n)
        self._make = _maker(_portable(self.uri), settings, engine, cpus or (1 if engine == "ray" else shared), gpus)
        self._start_s = start_s
        # Copies may have died of their own while they had nothing to do: a request that meets each of them is no killer.
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
        """Answer every request, in order. What no copy could answer gives ``Reply.error``."""
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
                    _LOG.warning(
                        "a copy of %s died (%s); its %d requests are done again", self.uri, death, len(portion)
                    )
                    self._start(place)
                    deaths[portion] += 1
                    if deaths[portion] < self._fatal:
                        left.appendleft(portion)
                    elif len(portion) == 1:
                        replies[portion[0]] = _failed(f"{self.uri}: {self._fatal} copies died of this request")
                    else:  # one of them may be what kills: the others are not to suffer for it
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
        return [r if r is not None else _failed(f"{self.uri}: no copy of it lives") for r in replies]

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
        """A copy has started, or has failed to."""
        place = self._starting.pop(future)
        try:
            described: Described | SandboxError = outcome(future)
        except WorkerDied as death:
            self._deaths[place] += 1
            if self._deaths[place] < _DEATHS:
                self._start(place)
                return None
            described = ModelNotFound(f"copies of {self.uri} die as they start: {death}")
        if isinstance(described, SandboxError):
            _LOG.warning("%s; going on with fewer copies", described)
            self._copies.pop(place).close()
        else:
            self._deaths[place] = 0
            self._free.append(place)
        return described

    def _first(self) -> Described:
        """Wait until one copy lives; the others join while work goes on."""
        while self._starting:
            for future in self._wait({}):
                described = self._started(future)
                if isinstance(described, Described):
                    return described
                if described is not None:
                    self.close()
                    raise described
        raise ModelNotFound(
            f"no copy of {self.uri} could be started within {self._start_s:.0f} s; is there room for one?"
        )

    def _wait(self, busy: dict[Future[Any], Any]) -> set[Future[Any]]:
        """Wait for any copy; for none that works, only so long as a start may take. Empty if nothing came of it."""
        began = time.monotonic()
        done, _ = wait([*busy, *self._starting], None if busy else self._start_s, FIRST_COMPLETED)
        if not done and self._starting:
            _LOG.warning("no copy of %s could be started in %.0f s", self.uri, time.monotonic() - began)
            self._starting.clear()
        return done


def check_replicas(n: int, engine: str) -> None:
    """Refuse copies that cannot be had, before anything starts.

    Raises:
        SettingsError: there are none, or the engine is unknown or not installed.
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
    """The URI as a process in another folder can read it."""
    kind, rest = resolve(uri)
    path, colon, name = rest.partition(".py:") if ".py:" in rest else (rest, "", "")
    found = Path(path + (".py" if colon else "")).expanduser()
    if not rest or not found.exists() or (kind == "hf" and rest == "smollm2"):
        return uri
    return f"{kind}:{found.resolve()}" + (f":{name}" if colon else "")


def _failed(error: str) -> Reply:
    return Reply("", finish_reason="error", error=error)


def _close(copies: dict[int, Copy]) -> None:
    for place in list(copies):
        copies.pop(place).close()
