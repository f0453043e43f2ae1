"""The page of a run and the page of a live world, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from by_hand import EVIL, told, write_call, write_run

from sandbox import Personas, Scenario, World
from sandbox.store.writer import RunWriter
from visualize.plots import grid

pytestmark = pytest.mark.slow

# Solara's server needs some seconds to start on a busy machine.
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[..., str]]:
    """Starts ``sandbox show ...`` and gives its address; it is stopped after the tests."""
    running = []

    def start(*arguments: object) -> str:
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "show", *map(str, arguments), "--port", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+/\?token=\S+) \(stop with Ctrl-C\)", line)
        assert found is not None, line
        return found[1]

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def society_page(tmp_path_factory: pytest.TempPathFactory, served: Callable[..., str]) -> tuple[str, Path]:
    """The address of the page of a 2x2 run against another, in which every text is markup; and the run's folder."""
    folder = tmp_path_factory.mktemp("served")
    words = {"question": f"q {EVIL}", "revision": f"revision {EVIL}", "reason": f"why {EVIL}"}

    def society(name: str, gain: float, draft: str) -> Path:
        own_words = {**words, "draft": draft}
        interactions = [
            told(r, i, (2.0, 3.0), (3.0 + r + gain, 4.0), {(i + 1) % 4: 5.0}, label="good" if i < 2 else EVIL, **own_words)  # type: ignore[arg-type]
            for r in (0, 1) for i in range(4)
        ]  # fmt: skip
        names = [f"Agent {i + 1} {EVIL}" for i in range(4)]
        own = {"measures": {EVIL: f"what {EVIL} is"}, "measure_axes": {EVIL: {"unit": EVIL, "limits": [0, 8]}}}
        return write_run(
            folder, interactions, labels=["good", "good", EVIL, EVIL], names=names, name=name, seed=0,
            metrics=[{EVIL: 2.0}, {EVIL: 4.0}], **own,
        ).path  # fmt: skip

    trained, base = society("trained", 1.0, f"draft {EVIL}"), society("base", 0.0, f"draft. Of base {EVIL}")
    write_call(trained, (1, 1, "answer 0"), f"q {EVIL}", f"draft {EVIL}", model=f"model {EVIL}")
    return served(trained, "--against", base), trained


def opened(page: Any, address: str) -> None:
    """Open the page; nothing is asked of anybody but this machine."""
    outside: list[str] = []
    page.on(
        "request",
        lambda r: (
            outside.append(r.url) if not r.url.startswith((address.partition("?")[0], "data:", "blob:")) else None
        ),
    )
    page.goto(address, timeout=PATIENCE_MS)
    page.wait_for_selector("canvas.map", timeout=PATIENCE_MS)
    page.wait_for_selector("text=trained against base", timeout=PATIENCE_MS)
    assert outside == []


def click(page: Any, canvas: str, across: float, down: float) -> None:
    """Click a canvas at shares of its sides."""
    box = page.locator(canvas).bounding_box()
    page.locator(canvas).click(position={"x": box["width"] * across, "y": box["height"] * down})


def dots(page: Any, canvas: str, across: float, down: float) -> list[int]:
    """The colour of a canvas at shares of its sides; read from a copy, as Chromium warns of reading one that is painted on."""
    return page.evaluate(  # type: ignore[no-any-return]
        """([name, x, y]) => { const c = document.querySelector(name), copy = document.createElement('canvas');
        copy.width = copy.height = 1;
        const pen = copy.getContext('2d', {willReadFrequently: true});
        pen.drawImage(c, Math.floor(x * c.width), Math.floor(y * c.height), 1, 1, 0, 0, 1, 1);
        return Array.from(pen.getImageData(0, 0, 1, 1).data); }""",
        [canvas, across, down],
    )


def test_click_an_agent_and_read_all_it_said(society_page: tuple[str, Path], page: Any) -> None:
    opened(page, society_page[0])
    page.wait_for_selector("text=round 2 of 2")
    click(page, "canvas.map", 0.75, 0.25)  # agent 1, upper right
    page.wait_for_selector(f"h3:has-text('Agent 2 {EVIL}')")
    said = page.inner_text(".said")
    for text in (f"q {EVIL}", f"draft {EVIL}", f"revision {EVIL}", f"why {EVIL}", f"Agent 3 {EVIL} rates it 5.0"):
        assert text in said
    assert "In base" in said
    assert page.locator(".conversation").count() == 2
    page.click(".memories summary")
    assert f"revision {EVIL}" in page.inner_text(".memories dd")
    page.locator("button.prompt", has_text="prompt").first.click()  # beside the draft
    page.wait_for_selector(f".call:has-text('be {EVIL}')")
    call = page.inner_text(".call")
    for text in (
        f"asked of Agent 2 {EVIL}",
        f"model {EVIL}",
        "asked by this run",
        "11 read, 3 written",
        f"draft {EVIL}",
    ):
        assert text in call
    page.locator("button.prompt", has_text="scoring").first.click()  # no observer asked a model
    page.wait_for_selector("text=No call of this run gave this")
    assert page.locator("img[src='x']").count() == 0


def test_hovering_names_and_a_click_on_nothing_closes(society_page: tuple[str, Path], page: Any) -> None:
    opened(page, society_page[0])
    page.set_viewport_size({"width": 1280, "height": 800})
    click(page, "canvas.map", 0.75, 0.25)
    page.wait_for_selector(f"h3:has-text('Agent 2 {EVIL}')")
    assert page.locator(".tip").inner_text().startswith(f"Agent 2 {EVIL} (good): 5.0")
    for selector in ("canvas.map", "canvas.graph", ".said h3"):  # all without scrolling
        box = page.locator(selector).bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800
    click(page, "canvas.graph", 0.02, 0.02)
    page.wait_for_selector("text=4 of 4 conversations of round 2 differ")
    assert page.locator("mark").all_inner_texts()[:2] == [f"draft {EVIL}", "draft."]
    curves = page.inner_text(".curves")
    assert f"{EVIL} ({EVIL})" in curves
    assert "8" in curves
    assert page.locator("img[src='x']").count() == 0


def test_click_an_edge_and_read_what_was_said_along_it(society_page: tuple[str, Path], page: Any) -> None:
    """The middle of the line between two agents that review each other is taken from the page's own layout."""
    from sandbox.store.run import open_run
    from visualize.page.data import PageData

    standing = PageData(open_run(society_page[1])).graph_positions()
    (ax, ay), (bx, by) = standing[1], standing[0]  # 1 reviewed 0
    opened(page, society_page[0])
    click(page, "canvas.graph", ((ax + bx) / 2 * 0.92 + 1) / 2, (1 - (ay + by) / 2 * 0.92) / 2)
    page.wait_for_selector(f"h3:has-text('Agent 2 {EVIL} on Agent 1 {EVIL}')")
    assert "2 reviews" in page.inner_text(".said")
    assert page.inner_text(".said").count("rates it 5.0") == 1  # the first is open, the second folded


def test_slider_and_play_go_through_the_rounds(society_page: tuple[str, Path], page: Any) -> None:
    """Round 0's answers are rated 4 and round 1's 5, so the squares change their colour."""
    opened(page, society_page[0])
    page.wait_for_selector("text=round 2 of 2")
    last = dots(page, "canvas.map", 0.05, 0.05)
    page.locator("input.slider").fill("0")
    page.wait_for_selector("text=round 1 of 2")
    until(page, lambda: dots(page, "canvas.map", 0.05, 0.05) != last)
    page.click("button.play")
    page.wait_for_selector("text=round 2 of 2")
    until(page, lambda: dots(page, "canvas.map", 0.05, 0.05) == last)
    page.wait_for_selector("button.play[aria-label=play]")  # it stops at the end


def until(page: Any, holds: Callable[[], bool]) -> None:
    """Wait until something holds, ten seconds at most."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(100)
    assert holds()


def test_filter_by_text_and_label_dims_the_others(society_page: tuple[str, Path], page: Any) -> None:
    opened(page, society_page[0])
    page.get_by_label("text", exact=True).fill("nothing of the kind")
    page.wait_for_selector("text=0 conversations of round 2 match")
    until(page, lambda: dots(page, "canvas.map", 0.05, 0.05)[3] < 100)  # nearly transparent
    page.get_by_label("text", exact=True).fill("DRAFT")
    page.wait_for_selector("text=4 conversations of round 2 match")
    click(page, "canvas.map", 0.75, 0.25)
    page.wait_for_selector("text=2 conversations, as filtered")
    page.get_by_label("text", exact=True).fill("nothing of the kind")
    page.wait_for_selector("text=0 conversations, as filtered")
    page.click("button.close")
    page.get_by_label("text", exact=True).fill("")
    page.get_by_label("labels", exact=True).click(force=True)
    page.locator(".v-list-item", has_text=EVIL).click()
    page.wait_for_selector("text=2 conversations of round 2 match")


def test_a_second_run_can_be_laid_over(society_page: tuple[str, Path], page: Any) -> None:
    opened(page, society_page[0])
    page.get_by_label("colour by", exact=True).click(force=True)
    page.locator(".v-list-item", has_text="difference").click()
    page.wait_for_selector("text=alignment of final answers, trained minus base (points)")
    assert "≤ -3" in page.inner_text(".scale >> nth=0")


def test_a_run_that_goes_on_refreshes_by_itself(tmp_path: Path, served: Callable[..., str], page: Any) -> None:
    run = write_run(tmp_path, [told(0, 0, (2.0, 2.0), (3.0, 3.0))], name="trained against base")
    opened(page, served(run.path))
    page.wait_for_selector("text=round 1 of 1")
    writer = RunWriter(run.path, {}, resume=True)
    writer.commit(told(1, 0, (2.0, 2.0), (6.0, 6.0)))
    writer.finish_round(1, [], {})
    writer.close()
    page.wait_for_selector("text=round 2 of 2", timeout=15_000)


def test_a_large_society_opens_and_answers_clicks(tmp_path: Path, served: Callable[..., str], page: Any) -> None:
    """A hundred agents and fifty rounds."""
    n = 100
    said = [
        told(r, i, (2.0, 3.0), (4.0, 5.0), {(i + k) % n: 4.0 for k in range(1, 5)}, draft="words " * 50)
        for r in range(50) for i in range(n)
    ]  # fmt: skip
    run = write_run(tmp_path, said, labels=["good"] * n, width=10, name="trained against base")
    opened(page, served(run.path))
    for agent in (11, 22, 33):
        row, column = divmod(agent, 10)
        click(page, "canvas.map", (column + 0.5) / 10, (row + 0.5) / 10)
        page.wait_for_selector(f"h3:has-text('Agent {agent + 1}')")
        page.mouse.wheel(0, -5000)


def test_above_two_hundred_agents_the_graph_is_a_matrix(tmp_path: Path, served: Callable[..., str], page: Any) -> None:
    """A row of good agents above one of bad ones; each is reviewed by the next. A chosen agent has its arrows."""
    n, labels = 202, ["good"] * 101 + [EVIL] * 101
    said = [told(0, i, (2.0, 3.0), (4.0, 5.0), {(i + 1) % n: 4.0}, label=labels[i]) for i in range(n)]
    run = write_run(tmp_path, said, labels=labels, width=101, name="trained against base")
    opened(page, served(run.path))
    title = page.locator("figure:has(canvas.graph) figcaption")
    assert title.inner_text() == "who speaks to whom, by label: shares of each row's reviews"
    box = page.locator("canvas.graph").bounding_box()
    page.locator("canvas.graph").hover(position={"x": 0.4 * box["width"], "y": 0.3 * box["height"]})
    page.wait_for_selector(".tip")
    assert page.locator(".tip").inner_text() == "good to good: 100, 99% of all by good, rating 4.0 on average"
    click(page, "canvas.map", 0.5 / 101, 0.5 / 101)
    page.wait_for_selector("h3:has-text('Agent 1')")
    assert title.inner_text() == "who reviewed whom"


def test_where_nobody_speaks_to_another_there_is_no_graph(
    tmp_path: Path, served: Callable[..., str], page: Any
) -> None:
    run = write_run(tmp_path, [told(0, i, (2.0, 3.0), (4.0, 5.0)) for i in range(4)])
    page.goto(served(run.path), timeout=PATIENCE_MS)
    page.wait_for_selector("canvas.map", timeout=PATIENCE_MS)
    assert page.locator("canvas.graph").count() == 0
    click(page, "canvas.map", 0.25, 0.25)
    page.wait_for_selector("h3:has-text('Agent 1')")


def rounds_at_rest(page: Any) -> None:
    """Wait until no step is under way: Mesa's playing thread takes one more after the pause, of whichever world is there."""
    before, still = "", 0
    while still < 5:
        page.wait_for_timeout(1000)
        now = page.inner_text("text=/\\d+ rounds done/")
        before, still = now, still + 1 if now == before else 0


def test_a_live_world_is_stepped_played_and_reset(served: Callable[..., str], page: Any) -> None:
    page.goto(
        served("--live", "value_alignment", "--model", "scripted:", "--size", "3", "--set", "embedder=hashing"),
        timeout=PATIENCE_MS,
    )
    page.wait_for_selector("text=0 rounds done", timeout=PATIENCE_MS)
    page.click("button:has-text('Step')")
    page.wait_for_selector("text=1 rounds done; last round: rating", timeout=PATIENCE_MS)
    page.click("button:has-text('▶')")
    page.wait_for_selector("text=3 rounds done", timeout=PATIENCE_MS)
    page.click("button:has-text('❚❚')")
    page.wait_for_selector("button:has-text('▶')")
    rounds_at_rest(page)
    page.click("button:has-text('Reset')")
    page.wait_for_selector("text=0 rounds done", timeout=PATIENCE_MS)
    assert page.locator("img").count() == 3


def test_on_a_network_the_map_is_the_network(
    served: Callable[..., str], page: Any, tiny_world: Callable[..., World]
) -> None:
    """A click at the place of a node, as pictures have it, shows its agent; a persona colours all."""
    names = ["Ann", "Bob", f"Cy {EVIL}", "Dee", "Eve", "Fay", "Guy", "Hal", "Ida"]
    people = Personas([{"name": name, "job": f"job {EVIL}"} for name in names], "You are {name}.")
    world = tiny_world(Scenario(questions=["?"], personas=people), neighborhood="small_world", agents=9, size=3)
    run = world.run(1)
    page.goto(served(run.path), timeout=PATIENCE_MS)
    page.wait_for_selector("canvas.map", timeout=PATIENCE_MS)
    assert page.locator("figcaption", has_text="map of the network").count() == 1
    table = grid.data(run).set_index("agent")
    box = page.locator("canvas.map").bounding_box()
    x, y = ((s * table.at[2, axis] / 1.35 + 1) / 2 for axis, s in (("x", 1), ("y", -1)))
    page.locator("canvas.map").click(position={"x": box["width"] * x, "y": box["height"] * y})
    page.wait_for_selector("h3:has-text('Cy')")
    assert page.locator(".said h3 bdi").inner_text() == f"Cy {EVIL}"
    page.get_by_label("colour by").first.click(force=True)
    page.locator(".v-list-item", has_text="persona.job").first.click()
    page.wait_for_selector(".society .group")
    assert page.locator(".society .group bdi").first.inner_text() == f"job {EVIL}"
