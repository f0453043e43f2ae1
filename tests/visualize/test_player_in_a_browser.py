"""The report's player in a real browser: map, graph and what was said, step together, and no text of a model does anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_hand import SOCIETY, told

from sandbox.store.run import Run
from visualize.report import write_report

pytestmark = pytest.mark.slow

# What hostile or careless people write: markup, ends of scripts and attributes, templates, unclosed overrides of the direction
# of text, other scripts, emoji, and words without a place to break.
HOSTILE = (
    "<script>alert(1)</script>", "</script><b>bold</b>", "<img src=x onerror=alert(2)>", "' onmouseover='alert(3)",
    "{{ 7 * 7 }} ${7 * 7}", "\u202eoverride", "جار طيب", "🙂👍🏽", "W" * 200,
)  # fmt: skip


@pytest.fixture
def stepped(make_run: Callable[..., Run]) -> Path:
    """A report of four agents with names, and two rounds: 4 and 6 reviews, one conversation of the first failed."""
    return write_report(make_run(SOCIETY, names=["Ann", "Bob", "Cy", "Dee"]).path)


def test_graph_and_words_step_with_the_map(stepped: Path, page: Any) -> None:
    page.goto(stepped.as_uri())
    assert page.locator(".player .arrows path").count() == 6
    assert page.inner_text(".told p") == "round 2: 4 conversations"
    assert page.locator(".told dt").all_inner_texts() == ["Ann", "Bob", "Cy", "Dee"]
    page.locator(".player input").fill("0")
    assert page.locator(".player .arrows path").count() == 4
    assert page.locator(".player .arrows path.plain").count() == 2  # ratings that could not be read
    assert page.inner_text(".told p") == "round 1: 3 conversations"
    assert "Bob rates it 3.0: be kind" in page.inner_text(".told")


def test_a_click_on_an_agent_shows_its_part_and_one_on_nothing_all(stepped: Path, page: Any) -> None:
    page.goto(stepped.as_uri())
    page.locator(".player .agent").nth(1).click()
    assert page.locator(".told dt").all_inner_texts() == ["Bob"]
    assert page.locator(".player .chosen").count() == 2  # on the map and in the graph
    assert page.locator(".player .arrows path.far").count() == 3  # those between others
    page.locator(".player .node").nth(1).click()
    assert page.locator(".told dt").count() == 4
    page.locator(".player .node").nth(3).click()
    assert page.locator(".told dt").all_inner_texts() == ["Dee"]
    page.locator(".player input").fill("0")
    assert page.inner_text(".told p") == "round 1: 3 conversations; none of this agent"
    page.locator("svg.graph").click(position={"x": 3, "y": 3})
    assert page.locator(".told dt").count() == 3


def test_hostile_words_stay_words(make_run: Callable[..., Run], page: Any) -> None:
    n = len(HOSTILE)
    words = [
        told(r, i, (2.0, 3.0), (4.0, 4.0), {(i + 1) % n: 5.0}, question=f"q {HOSTILE[i]}", draft=f"d {HOSTILE[i - 1]}",
             revision=f"r {HOSTILE[i - 2]}", reason=f"w {HOSTILE[i - 3]}", label="good" if i < 4 else HOSTILE[2])
        for r in (0, 1) for i in range(n)
    ]  # fmt: skip
    labels = ["good"] * 4 + [HOSTILE[2]] * (n - 4)
    run = make_run(words, names=list(HOSTILE), labels=labels, width=3, scenario=HOSTILE[0])
    page.goto(write_report(run.path).as_uri())
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    told_of, whole = page.inner_text(".told"), page.inner_text("body")
    for text in HOSTILE:
        assert f"q {text}" in told_of
        assert f": d {text}" in told_of
        assert f"w {text}" in whole
    assert page.locator("script").count() == 1
    assert page.locator("b, img[src='x'], [onmouseover]").count() == 0
    titles = [f"{name} ({label})" for name, label in zip(HOSTILE, labels, strict=True)]
    assert page.locator(".player title").all_text_contents()[:n] == titles
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_name_that_turns_its_text_around_turns_no_other(make_run: Callable[..., Run], page: Any) -> None:
    """The line that names an agent ends with its scores, which an unclosed override in the name would put before it."""
    names = ["\u202eoverride", "Bob", "Cy", "Dee"]
    run = make_run([told(r, 0, (2.0, 2.0), (3.0, 3.0)) for r in (0, 1)], names=names)
    page.goto(write_report(run.path).as_uri())
    name, scores = page.locator("details.conversation summary").first.evaluate(
        """one => [".soft bdi", ".soft"].map(which => {
        const found = one.querySelector(which), range = document.createRange();
        range.selectNodeContents(which === ".soft" ? found.lastChild : found);
        return range.getBoundingClientRect().left;
    })"""
    )
    assert name < scores


def test_on_paper_the_player_is_a_picture(stepped: Path, page: Any) -> None:
    page.goto(stepped.as_uri())
    page.emulate_media(media="print")
    assert page.locator(".told").is_hidden()
    assert page.locator(".player svg.map").is_visible()
    assert page.locator(".player svg.graph").is_visible()
