"""Records written by hand, and runs of scripted worlds, for pictures to be drawn of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from by_hand import SOCIETY, told, write_evaluation, write_everything, write_run, write_sweep, write_training

from sandbox.store.run import Run

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """:func:`by_hand.write_run` into the test's own folder."""
    return partial(write_run, tmp_path)


@pytest.fixture
def training_folder(tmp_path: Path) -> Callable[..., Path]:
    """:func:`by_hand.write_training` into the test's own folder."""
    return partial(write_training, tmp_path)


@pytest.fixture
def evaluation_folder(tmp_path: Path) -> Callable[..., Path]:
    """:func:`by_hand.write_evaluation` into the test's own folder."""
    return partial(write_evaluation, tmp_path)


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Callable[..., Path]:
    """:func:`by_hand.write_sweep` into the test's own folder."""
    return partial(write_sweep, tmp_path)


@pytest.fixture(scope="session")
def everything_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on a run, a training, an evaluation and a sweep, in each of which a model wrote HTML."""
    from visualize.report import write_report

    return write_report(write_everything(tmp_path_factory.mktemp("everything")))


@pytest.fixture
def society(make_run: Callable[..., Run]) -> Run:
    """Four agents on 2x2 (good good / bad bad), two rounds; numbers that tests work out by hand.

    In round 0 agent 1's revision has no rating, agent 2's answers have none at all, and agent 3's conversation failed.
    """
    return make_run(SOCIETY)


@pytest.fixture
def nobody(make_run: Callable[..., Run]) -> Run:
    """A run that has only begun."""
    return make_run(name="nobody")


@pytest.fixture
def lone(make_run: Callable[..., Run]) -> Run:
    """One interaction in all, of agent 0 with agent 3, in a round that is complete."""
    return make_run([told(0, 0, (2.0, 3.0), (5.0, 4.0), {3: 6.0})], name="lone")


@pytest.fixture(scope="session")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A hundred agents on 10x10, two rounds, all made up by a scripted model."""
    from sandbox.world import World

    out = tmp_path_factory.mktemp("runs") / "crowd"
    world = World("value_alignment", model="scripted:", embedder="hashing", size=10, out=out)
    run = world.run(rounds=2)
    world.close()
    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium without a window. Where there is none, tests are skipped, and fail in continuous integration."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        words = f"these tests need a browser: none of {', '.join(BROWSERS)} is installed; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page; the test fails if its console has an error or warning, or an alert of a model's text came up."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    opened.on("console", lambda m: m.type in ("error", "warning") and faults.append(f"console {m.type}: {m.text}"))
    opened.on("pageerror", lambda error: faults.append(f"error: {error}"))
    opened.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield opened
    opened.close()
    assert faults == []
