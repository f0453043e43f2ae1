"""Arrays are computed once for the same key and fingerprint; a damaged file is computed again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from sandbox.models.local import array_cache
from sandbox.models.local.array_cache import cached_array
from sandbox.models.local.fingerprint import cache_dir


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CACHE", str(tmp_path))


def test_an_array_is_computed_once() -> None:
    calls: list[int] = []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.ones((2, 3), np.float32)

    for _ in range(3):
        assert cached_array(["a", "b"], compute, fingerprint="m").shape == (2, 3)
    assert len(calls) == 1
    cached_array(["ab", ""], compute, fingerprint="m")  # other texts with the same letters
    cached_array(["a", "b"], compute, fingerprint="other")
    assert len(calls) == 3


def test_who_comes_second_waits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first does not end its work before the second has said that it waits."""
    calls, began, may_end, said = [], Event(), Event(), list[str]()

    class Terminal:
        def __init__(self, stderr: bool) -> None:
            assert stderr

        def print(self, words: str, **_: object) -> None:
            said.append(words)
            may_end.set()

    monkeypatch.setattr(array_cache, "_SILENT", 0.05)
    monkeypatch.setattr(array_cache, "Console", Terminal)

    def compute() -> np.ndarray:
        calls.append(1)
        began.set()
        assert may_end.wait(60)
        return np.ones(1, np.float32)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cached_array, ["a"], compute, fingerprint="m")
        assert began.wait(60)
        second = threads.submit(cached_array, ["a"], compute, fingerprint="m")
        assert first.result().tolist() == second.result().tolist() == [1.0]
    assert [words.startswith("Waiting for another process that fills ") for words in said] == [True]
    assert len(calls) == 1


def test_without_a_fingerprint_nothing_is_kept() -> None:
    cached_array(["a"], lambda: np.zeros(1, np.float32), fingerprint=None)
    assert not (cache_dir() / "features").exists()


def test_a_damaged_file_is_computed_again() -> None:
    cached_array(["a"], lambda: np.zeros(1, np.float32), fingerprint="m")
    [path] = (cache_dir() / "features").glob("*.npy")
    path.write_bytes(b"half")
    assert cached_array(["a"], lambda: np.ones(1, np.float32), fingerprint="m").tolist() == [1.0]
    assert np.load(path).tolist() == [1.0]
