"""How pages of the site are made: tutorials run and show their output, and nothing is left without words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.registry import KINDS, plugins

pytestmark = pytest.mark.needs_torch  # mkdocs comes with it

TUTORIALS = sorted((Path(__file__).parents[1] / "docs" / "tutorials").glob("*.md"))


def test_blocks_run_in_order_and_their_output_stands_behind_them(docs_site: Callable[[str], Any]) -> None:
    """A titled block becomes a file, which the next one imports; a picture is taken from the page's folder."""
    page = (
        '# T\n\n```python title="own.txt"\nsome words\n```\n\n```python\nfrom pathlib import Path\n\n'
        'text = Path("own.txt").read_text()\n```\n\n```python\nprint(text * 2)\nPath("p.png").write_bytes(b"png")\n```\n\n'
        "```sh\nsandbox ls protocols\nls\n```\n\n<!-- picture: p.png: A picture -->\n"
    )
    made = docs_site("tutorials")
    shown, pictures = made.as_page(made.run_page(page, "t"), "t")
    assert "\n\n```{ .text .output }\nsome words\nsome words\n```" in shown
    assert "back_scatter" in shown
    assert shown.endswith("\n![A picture](t-p.png)\n")
    assert pictures == {"t-p.png": b"png"}


def test_a_block_that_fails_is_named(docs_site: Callable[[str], Any]) -> None:
    run_page = docs_site("tutorials").run_page
    with pytest.raises(RuntimeError, match=r"tutorials/t.md: a block fails:\nprint\(1 / 0\)"):
        run_page("```python\nprint(1 / 0)\n```\n", "t")
    with pytest.raises(RuntimeError, match=r"tutorials/t.md: sandbox plot nowhere\n"):
        run_page("```sh\nsandbox plot nowhere\n```\n", "t")


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_tutorials_are_short_and_import_public_names_only(path: Path, docs_site: Callable[[str], Any]) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert path.stem in docs_site("pieces").ORDER
    imported = {line.split()[1] for line in text.splitlines() if line.startswith(("from sandbox", "from trainers"))}
    assert imported <= {"sandbox", "sandbox.errors", "sandbox.testing", "trainers"}


def test_a_setting_without_words_fails(docs_site: Callable[[str], Any]) -> None:
    @dataclass
    class Settings:
        """Settings.

        Attributes:
            known: It has words.
        """

        known: int = 1
        unknown: int = 2

    with pytest.raises(ValueError, match=r"setting 'unknown' of .*Settings has no description"):
        docs_site("tables").settings_table(Settings)


def test_every_plugin_has_words(docs_site: Callable[[str], Any]) -> None:
    words = docs_site("plugin_pages")
    ours = [plugin for kind in KINDS for plugin in plugins(kind) if plugin.package == "social-sandbox"]
    assert [plugin.name for plugin in ours if not words._words(plugin)] == []


def test_comments_behind_long_commands_stand_above_them(docs_site: Callable[[str], Any]) -> None:
    above = docs_site("links").comments_above
    short = "make demo     # all of it\nmake test     # the tests\n"
    assert above(short) == short
    long = "sandbox run village --set " + "a=1," * 20
    assert above(f"{long}   # with many\nsandbox ls\n") == f"# with many\n{long}\nsandbox ls\n"
