"""The report in a real browser: it opens from disk, shows its pictures, and runs nothing that a model wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from by_hand import EVIL, SOCIETY, write_run

from visualize.report import write_report

pytestmark = pytest.mark.slow


def test_the_page_opens_from_disk_without_a_network(everything_page: Path, page: Any) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.goto(everything_page.as_uri())
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    widths = page.eval_on_selector_all("img", "images => images.map(i => i.complete && i.naturalWidth)")
    assert len(widths) == 10
    assert all(width > 100 for width in widths)


def test_what_models_wrote_is_seen_as_text(everything_page: Path, page: Any) -> None:
    page.goto(everything_page.as_uri())
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    seen = page.inner_text("body")
    for words in ("q", "draft", "revision", "why", "CallFailed:"):
        assert f"{words} {EVIL}" in seen
    assert page.locator("img[src='x']").count() == 0


def test_a_conversation_opens_at_a_click(everything_page: Path, page: Any) -> None:
    page.goto(everything_page.as_uri())
    first = page.locator("details", has_text="Draft").first
    answer = first.locator("dd").first
    assert not answer.is_visible()
    first.locator("summary").first.click()
    assert answer.is_visible()
    prompt = page.locator("dd.calls").first  # of the one call that the folder's run has
    prompt.evaluate(
        "one => { for (let p = one.parentElement; p; p = p.parentElement) if (p.tagName === 'DETAILS') p.open = true; }"
    )
    prompt.locator("summary").click()
    assert prompt.get_by_text(f"be {EVIL}").is_visible()


def test_words_in_tables_are_not_broken(everything_page: Path, page: Any) -> None:
    page.goto(everything_page.as_uri())
    lines = page.eval_on_selector_all(
        "th",
        """cells => cells.map(cell => {
        const words = document.createRange();
        words.selectNodeContents(cell);
        return [cell.innerText, words.getClientRects().length];
    })""",
    )
    assert {name: count for name, count in lines if " " not in name and count > 1} == {}


def test_the_page_fits_a_telephone(everything_page: Path, page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(everything_page.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture
def stepped(tmp_path: Path) -> Path:
    """A report of two rounds, of agents with names of markup."""
    return write_report(write_run(tmp_path, SOCIETY, names=[f"Ann {EVIL}", "Bob", "Cy", "Dee"]).path)


def test_the_map_steps_through_rounds_and_says_who_is_who(stepped: Path, page: Any) -> None:
    page.goto(stepped.as_uri())
    assert page.locator(".player output").inner_text() == "round 2 of 2"
    assert [page.locator(".player text").nth(i).text_content() for i in range(4)] == ["5.0", "7.0", "1.5", "3.0"]
    page.locator(".player button").click()  # from the last round it begins again
    page.wait_for_selector("output:has-text('round 1 of 2')")
    assert page.locator(".player text").first.text_content() == "4.0"
    page.wait_for_selector("output:has-text('round 2 of 2')")
    assert page.locator(".player title").first.text_content() == f"Ann {EVIL} (good)"
    first = page.locator(".player rect").first.evaluate("one => getComputedStyle(one).fill")
    assert first.startswith("rgb(")


def test_conversations_can_be_searched(stepped: Path, page: Any) -> None:
    page.goto(stepped.as_uri())
    every = page.locator("details.conversation")
    assert every.count() == 7
    page.locator("input.search").fill("BOB, bad")
    assert page.locator(".find output").inner_text() == "0 of 7 conversations"
    page.locator("input.search").fill("round 2:")
    assert page.locator(".find output").inner_text() == "4 of 7 conversations"
    assert [every.nth(i).is_visible() for i in range(7)].count(True) == 4
    page.locator("input.search").fill("")
    assert [every.nth(i).is_visible() for i in range(7)].count(True) == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_have_the_theme_of_the_page(stepped: Path, page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(stepped.as_uri())
    shown, light = page.locator("picture img").first.evaluate("one => [one.currentSrc, one.getAttribute('src')]")
    assert (shown == light) == (scheme == "light")
    page.emulate_media(media="print", color_scheme=scheme)
    assert page.locator(".controls").first.is_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
