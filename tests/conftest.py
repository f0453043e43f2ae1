"""Parts that tests of every room share: a tiny language model and a scripted one, both made without a download."""

from __future__ import annotations

import os

# Before anything imports torch or a tokenizer: small models run slower on many threads, and nothing goes online.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sandbox.testing import tiny_lm, tiny_run

# A package of its own, whose tests run where it is installed: see test_wheel.py.
collect_ignore = ["plugin_package"]

# What training and models in this process need, and a society on a scripted or a remote model does not.
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "accelerate", "sentence_transformers")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="leave out what needs torch, which must not be there")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is left out; where torch can be had, its absence proves nothing."""
    if not config.getoption("--without-torch"):
        return None
    if there := [name for name in HEAVY if find_spec(name) is not None]:
        raise pytest.UsageError(f"--without-torch: {', '.join(there)} can be imported here")
    return f"left out, as marked needs_torch: tests that need one of {', '.join(HEAVY)}"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files that need torch as a whole may not even be importable without it."""
    if not config.getoption("--without-torch") or collection_path.suffix != ".py":
        return None
    return "\npytestmark = pytest.mark.needs_torch\n" in collection_path.read_text(encoding="utf-8") or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without torch, leave out tests that are marked, and those of a tiny language model."""
    if not config.getoption("--without-torch"):
        return
    tiny = {"tiny_lm_path", "make_tiny_lm"}
    out = [item for item in items if item.get_closest_marker("needs_torch") or tiny & set(item.fixturenames)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in set(out)]


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
def vllm_engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The engines of a stand-in of vLLM that were started; the stand-in is gone after the test."""
    from sandbox.models import catalog
    from sandbox.models.local import vllm_engine

    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent / "models" / "vllm_stand_in"))
        import vllm

        vllm.ENGINES.clear()
        yield vllm.ENGINES
    vllm_engine._LAST.clear()
    vllm_engine._ENGINES.clear()
    catalog._IN_USE.clear()
    # What is imported later, such as trl, must not take it for vLLM.
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture
def docs_site(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module of docs/site, which makes pages: ``docs_site("formulas")``."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs" / "site"))
    return importlib.import_module


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


# Questions with reserved answers from which the independent judge learns a probe; see the two fixtures below.
_NEVER = 10**6


@pytest.fixture(scope="session", autouse=True)
def _independent_judge_without_a_language_model() -> Iterator[None]:
    """Let the independent judge rate by embeddings; only slow tests read thousands of answers with the bundled model."""
    if find_spec("torch") is None:
        yield
        return
    from trainers.evaluation import judges

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "MIN_RESERVED_QUESTIONS", _NEVER)
        yield


@pytest.fixture(autouse=True)
def _independent_judge_of_slow_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("slow") is not None and find_spec("torch") is not None:
        from trainers.evaluation import judges

        monkeypatch.setattr(judges, "MIN_RESERVED_QUESTIONS", 24)
