"""Runs independent jobs: in this process, in worker processes, or on a Ray cluster.

A worker that dies takes only its own job with it. This module knows nothing of societies: a job is whatever the
function takes.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple, TypeVar

from sandbox.errors import SettingsError

J = TypeVar("J")
Workers = int | Literal["ray"]


class JobOutcome(NamedTuple):
    """How a job ended: what the function returned, or why its worker died before it could."""

    job: Any
    result: Any
    death: str | None = None


def parse_workers(text: str) -> Workers:
    """Read ``--workers``: a number of processes, or the word ``ray``.

    Raises:
        SettingsError: it is neither.
    """
    if text == "ray":
        return "ray"
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingsError(f"--workers {text!r} is neither a number of processes, 1 or more, nor 'ray'")
    return int(text)


def check_workers(workers: Workers) -> None:
    """Refuse workers that cannot be had, before anything starts.

    Raises:
        SettingsError: Ray is asked for but not installed, or the number is not one.
    """
    if workers == "ray":
        load_ray("workers='ray'")
    elif not isinstance(workers, int) or workers < 1:
        raise SettingsError(f"workers={workers!r} is neither a number of processes, 1 or more, nor 'ray'")


def run_jobs(function: Callable[[J], Any], jobs: Sequence[J], *, workers: Workers = 1) -> Iterator[JobOutcome]:
    """Call ``function`` with every job, and give each job's end as it comes.

    Args:
        function: Defined at a module's top level, so that other processes find it; it turns its own failures into
            results.
        jobs: Picklable, unless ``workers`` is 1.
        workers: 1 runs them here, one after the other; more in as many fresh processes, a script that asks for them
            needs ``if __name__ == "__main__":``; ``ray`` as tasks of the cluster that ``RAY_ADDRESS`` names, else of
            one started here.

    Raises:
        SettingsError: Ray is asked for but not installed.
    """
    check_workers(workers)
    if workers == "ray":
        return _on_ray(function, jobs)
    if workers == 1:
        return (JobOutcome(job, function(job)) for job in jobs)
    return _in_processes(function, jobs, min(workers, max(1, len(jobs))))


def run_in_subprocess(function: Callable[[J], Any], job: J) -> JobOutcome:
    """Call ``function`` with one job in a fresh process, which ends with it: what it uses is its own.

    Args:
        function: As for :func:`run_jobs`.
        job: Picklable.
    """
    lane = _Lane(os.cpu_count() or 1)
    try:
        return lane.run(function, job)
    finally:
        lane.close()


class _Lane:
    """One worker process at a time; when it dies, the next job gets a fresh one."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[J], Any], job: J) -> JobOutcome:
        if self._pool is None:
            # Forking after torch has started threads can hang, so workers begin afresh.
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=begin_worker, initargs=(self._threads,))
        try:
            return JobOutcome(job, self._pool.submit(function, job).result())
        except BrokenProcessPool:
            self.close()
            return JobOutcome(job, None, "its worker process died, perhaps killed for want of memory")

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def begin_worker(threads: int) -> None:
    """Let this process use so many threads, unless its environment says otherwise; it ends with its parent."""
    # Workers that each use every core wait for each other: 5-10 times slower with torch on two cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    threading.Thread(target=_end_with_parent, name="sandbox-parent", daemon=True).start()


def _end_with_parent() -> None:
    """A job whose caller was killed would go on unseen, and write where the next one works."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_processes(function: Callable[[J], Any], jobs: Sequence[J], workers: int) -> Iterator[JobOutcome]:
    lanes = [_Lane(max(1, (os.cpu_count() or 1) // workers)) for _ in range(workers)]
    free: SimpleQueue[_Lane] = SimpleQueue()
    for lane in lanes:
        free.put(lane)

    def run(job: J) -> JobOutcome:
        lane = free.get()
        try:
            return lane.run(function, job)
        finally:
            free.put(lane)

    threads = ThreadPoolExecutor(workers)
    try:
        futures: list[Future[JobOutcome]] = [threads.submit(run, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        threads.shutdown(cancel_futures=True)
        for lane in lanes:
            lane.close()


def load_ray(what: str) -> Any:
    """Import Ray.

    Args:
        what: The setting that needs it, for the message.

    Raises:
        SettingsError: it is not installed.
    """
    # Our users did not ask for pings to anybody.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise SettingsError(f"{what} needs Ray, which is not installed: pip install 'social-sandbox[ray]'") from None


def _call(module: str, name: str, path: Sequence[str], job: Any) -> Any:
    """Call a function where modules are found as they were where it was named; Ray's workers have a path of their own."""
    sys.path += [folder for folder in path if folder not in sys.path]
    return getattr(importlib.import_module(module), name)(job)


def _on_ray(function: Callable[[J], Any], jobs: Sequence[J]) -> Iterator[JobOutcome]:
    ray = load_ray("workers='ray'")
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        task = ray.remote(max_retries=0)(_call)
        waiting = {task.remote(function.__module__, function.__qualname__, sys.path, job): job for job in jobs}
        while waiting:
            [done], _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done)
            try:
                yield JobOutcome(job, ray.get(done))
            except ray.exceptions.RayError as error:
                yield JobOutcome(job, None, f"its Ray worker failed: {str(error).strip().splitlines()[-1]}")
    finally:
        if is_ours:
            ray.shutdown()
