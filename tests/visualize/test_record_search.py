"""All conversations of a run can be searched in its report; where they do not fit, an even part, which is counted."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from by_hand import EVIL, told

from sandbox.store.run import Run
from visualize import report
from visualize.page.record_search import pack_conversations
from visualize.report import write_report


def unpacked(packed: dict[str, Any]) -> list[Any]:
    """The conversations in it."""
    return list(json.loads(gzip.decompress(base64.b64decode(packed["data"]))))


@pytest.fixture
def long(make_run: Callable[..., Run]) -> Run:
    """Sixty agents and eight rounds, each draft with a number of its own and 300 characters that do not compress well."""
    draw = random.Random(0)
    said = [
        told(r, i, (2.0, 3.0), (3.0, 4.0), {(i + 1) % 60: 5.0}, draft=f"number {r}-{i}. {draw.randbytes(150).hex()}",
             reason=f"why {EVIL}")
        for r in range(8) for i in range(60)
    ]  # fmt: skip
    return make_run(said, labels=["good"] * 60, names=[f"Ann {i} {EVIL}" for i in range(60)], width=10)


def test_what_fits_is_packed_whole(long: Run) -> None:
    held = long.interactions()
    packed = pack_conversations(held, long, {0: "Ann"}, room=2_000_000)
    assert packed["n"] == 480
    assert unpacked(packed)[0] == [
        "Is it right?", "Ann", "good", 1, "alignment 2.00, engagement 3.00 → alignment 3.00, engagement 4.00",
        [["draft", held[0].draft], ["Agent 2 rates it 5.0", f"why {EVIL}"], ["revision", "Yes, be kind."]],
    ]  # fmt: skip


def test_of_what_does_not_fit_an_even_part_is_packed(long: Run) -> None:
    packed = pack_conversations(long.interactions(), long, {}, room=50_000, has_labels=False)
    rounds = [one[3] for one in unpacked(packed)]
    assert len(packed["data"]) <= 50_000
    assert len(packed["data"]) > 35_000
    assert len(rounds) == packed["n"] < 480
    counts = [rounds.count(r) for r in range(1, 9)]
    assert max(counts) - min(counts) <= 1
    assert {one[2] for one in unpacked(packed)} == {""}
    assert pack_conversations(long.interactions(), long, {}, room=10)["n"] == 0


def test_the_page_says_what_its_search_finds(
    long: Run, make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(write_report(long.path)).read_text(encoding="utf-8")
    assert "200 of 472, evenly over the record, to keep the page small; the search finds all, and" in text
    monkeypatch.setattr(report, "_RECORD_BYTES", 50_000)
    text = Path(write_report(long.path)).read_text(encoding="utf-8")
    found = int(text.partition("the search finds ")[2].partition(" of them, and")[0])
    assert 100 < found < 300
    few = make_run([told(0, 0, (2.0, 3.0), (3.0, 4.0))], name="few")
    assert 'data-record="' not in Path(write_report(few.path)).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_whole_record_is_searched_in_a_browser(long: Run, page: Any) -> None:
    page.goto(write_report(long.path).as_uri())
    page.locator("input.search").fill("NUMBER 3-")
    page.wait_for_selector(".find output:has-text('60 of 480 conversations')")
    results = page.locator(".results details")
    assert results.count() == 50
    assert page.locator("details.conversation:visible").count() == 0
    assert "of the others the first 50 are shown" in page.inner_text(".find output")
    page.locator("input.search").fill("number 5-17.")
    page.wait_for_selector(".find output:text-is('1 of 480 conversations')")
    results.first.locator("summary").click()
    assert f"Ann 17 {EVIL}, round 6" in results.first.inner_text()
    assert f"why {EVIL}" in results.first.inner_text()
    page.locator("input.search").fill("nothing of the kind")
    page.wait_for_selector(".find output:has-text('0 of 480 conversations')")
    assert results.count() == 0
    page.locator("input.search").fill("")
    page.wait_for_function("document.querySelector('.find output').textContent === ''")
    assert page.locator("details.conversation:visible").count() == 208
    assert page.locator("img[src='x']").count() == 0
