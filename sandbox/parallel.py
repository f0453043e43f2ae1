"""Runs independent jobs: in this process, in worker processes, or on a Ray cluster.

A worker that dies loses only its own job. Knows no societies: a job is any argument of a function.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple, TypeVar

from sandbox.errors import SettingsError
from sandbox.process_settings import let_threads_sleep

J = TypeVar("J")
Workers = int | Literal["ray"]


class JobOutcome(NamedTuple):
    """How a job ended.

    Attributes:
        job: The job.
        result: What the function returned; None after a crash.
        crash: Why the worker died before the function returned; None if it did not.
    """

    job: Any
    result: Any
    crash: str | None = None


def parse_workers(text: str) -> Workers:
    """Parse ``--workers``: a number of processes, or ``ray``.

    Raises:
        SettingsError: the text is neither.
    """
    if text == "ray":
        return "ray"
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise SettingsError(f"--workers {text!r} is neither a number of processes, 1 or more, nor 'ray'")
    return int(text)


def check_workers(workers: Workers) -> None:
    """Check ``workers`` before anything starts.

    Raises:
        SettingsError: Ray is not installed, or the number is invalid.
    """
    if workers == "ray":
        load_ray("workers='ray'")
    elif not isinstance(workers, int) or workers < 1:
        raise SettingsError(f"workers={workers!r} is neither a number of processes, 1 or more, nor 'ray'")


def run_jobs(function: Callable[[J], Any], jobs: Sequence[J], *, workers: Workers = 1) -> Iterator[JobOutcome]:
    """Call ``function`` with every job, and yield outcomes as jobs end.

    Args:
        function: A function at the top level of a module, so that other processes can import it; it returns its own
            failures as results.
        jobs: The jobs; picklable, unless ``workers`` is 1.
        workers: 1 runs them in this process, in order; more in as many new processes, which in a script needs
            ``if __name__ == "__main__":``; ``ray`` as tasks of the cluster in ``RAY_ADDRESS``, else of a local one.

    Raises:
        SettingsError: Ray is not installed.
    """
    check_workers(workers)
    if workers == "ray":
        return _on_ray(function, jobs)
    if workers == 1:
        return (JobOutcome(job, function(job)) for job in jobs)
    return _in_processes(function, jobs, min(workers, max(1, len(jobs))))


def run_in_subprocess(function: Callable[[J], Any], job: J) -> JobOutcome:
    """Call ``function`` with one job in a new process, which ends with it and releases its memory.

    Args:
        function: As for :func:`run_jobs`.
        job: The job; picklable.
    """
    lane = _Lane(os.cpu_count() or 1)
    try:
        return lane.run(function, job)
    except BaseException:
        lane.kill()
        raise
    finally:
        lane.close()


class _Lane:
    """A worker process, which is replaced if it dies."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool: ProcessPoolExecutor | None = None
        self._is_over = False

    def run(self, function: Callable[[J], Any], job: J) -> JobOutcome:
        if self._is_over:
            return JobOutcome(job, None, "it was stopped")
        if self._pool is None:
            # Forking after torch has started threads can hang, hence spawn.
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, initializer=begin_worker, initargs=(self._threads,))
        try:
            return JobOutcome(job, self._pool.submit(function, job).result())
        except BrokenProcessPool:
            self.close()
            return JobOutcome(job, None, "its worker process died, perhaps out of memory")

    def kill(self) -> None:
        """End the process at once, with the job it is at."""
        self._is_over = True
        for process in list(((self._pool and self._pool._processes) or {}).values()):
            process.kill()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def begin_worker(threads: int) -> None:
    """Limit the threads of this process, unless its environment sets them, and end it with its parent.

    Ctrl-C reaches all processes of a terminal; it is the parent's to handle.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Workers that each use all cores slow each other down: 5-10 times with torch on two cores.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    let_threads_sleep()
    threading.Thread(target=_end_with_parent, name="sandbox-parent", daemon=True).start()


def _end_with_parent() -> None:
    """Exit when the parent ends; otherwise the job of a killed caller would continue and write to its folder."""
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
    except BaseException:  # stopped: nothing that is waited for can take long
        threads.shutdown(wait=False, cancel_futures=True)
        for lane in lanes:
            lane.kill()
        raise
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
    # Disables telemetry.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise SettingsError(f"{what} needs Ray, which is not installed: pip install -e '.[ray]'") from None


def _call(module: str, name: str, path: Sequence[str], job: Any) -> Any:
    """Call a function with the caller's ``sys.path``; Ray's workers have their own."""
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
