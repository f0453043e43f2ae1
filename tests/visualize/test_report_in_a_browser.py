"""The report in a real browser: it opens from disk, shows its pictures, and runs nothing that a model wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from by_hand import EVIL

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
