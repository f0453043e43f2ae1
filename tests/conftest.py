"""Parts that tests of every room share: a tiny language model and a scripted one, both made without a download."""

from __future__ import annotations

import os

# Before anything imports torch or a tokenizer: small models run slower on many threads, and nothing goes online.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.testing import tiny_lm, tiny_run

# A package of its own, whose tests run where it is installed: see test_wheel.py.
collect_ignore = ["plugin_package"]


@pytest.fixture(scope="session")
def cache_for_tests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that goes away with the tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(request: pytest.FixtureRequest, cache_for_tests: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests out of the user's cache; only slow ones use it, for the converted language model."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setenv("SANDBOX_CACHE", str(cache_for_tests))


@pytest.fixture(scope="session")
def tiny_lm_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny random Llama with a chat template; read it, never write into it."""
    return tiny_lm(tmp_path_factory.mktemp("tiny_lm"))


@pytest.fixture
def make_tiny_lm(tmp_path: Path) -> Callable[..., Path]:
    """Makes tiny models of one's own: ``make_tiny_lm("name", chat=False, seed=1, positions=64)``."""
    return lambda name, **settings: tiny_lm(tmp_path / name, **settings)


@pytest.fixture
def scripted_lm() -> Callable[..., Any]:
    """Makes scripted models: ``scripted_lm(["first", "second"])`` gives its replies in order and keeps a history."""
    from sandbox.models.scripted import ScriptedModel

    return lambda replies, in_order=True: ScriptedModel(replies=replies, in_order=in_order)


@pytest.fixture
def tiny_world(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Makes 3x3 worlds of made-up sentences and hashed words: ``tiny_world(seed=1, out=...)``; any setting may differ.

    Without ``out`` the run is written into the test's own folder ``run``. Worlds are closed when the test ends.
    """
    from sandbox.world import World

    made = []

    def make(scenario: Any = "value_alignment", **settings: Any) -> World:
        given = {"model": "scripted:", "embedder": "hashing", "size": 3, "out": tmp_path / "run", **settings}
        made.append(World(scenario, **given))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run, three rounds of a 3x3 world of made-up sentences; read it, never write into it."""
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny", rounds=3)
