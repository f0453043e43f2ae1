"""How pages of the site are made: tutorials run and show their output, and nothing is left without words."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.errors import SandboxError
from sandbox.registry import KINDS, Plugin, plugins

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


@pytest.fixture
def reference(docs_site: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, str]]:
    """The module of the reference, and the pages that it has written, by name."""
    written: dict[str, str] = {}
    for name in ("reference_pages", "settings_page", "plugin_pages"):
        monkeypatch.setattr(docs_site(name), "write", lambda page, text, source="": written.update({page: text}))
    return docs_site("reference_pages"), written


def test_every_plugin_and_its_settings_are_on_a_page(reference: tuple[Any, dict[str, str]]) -> None:
    made, written = reference
    made.write_plugins()
    page = written["reference/plugins.md"]
    for kind in KINDS:
        shelf = page.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
        ours = [plugin.name for plugin in plugins(kind) if plugin.package == "social-sandbox"]
        assert [name for name in ours if f"\n| `{name}` |" not in shelf] == []
    for one in ("scenario commons", "model openai", "embedder minilm", "memory stream", "plot grid"):
        assert f"\n### {one}\n" in page
    assert "| `decay` | `float` | in (0, 1] | `0.9` |" in page


def test_every_class_of_settings_is_on_a_page(
    reference: tuple[Any, dict[str, str]], docs_site: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, written = reference
    settings = docs_site("settings_page")
    settings.write_settings()
    for field in ("audience", "learning_rate", "teacher", "top_p", "side_effects", "n_pairs", "generations"):
        assert f"\n| `{field}` |" in written["reference/settings.md"]
    assert len(list(settings.settings_classes())) > 20
    monkeypatch.setattr(settings, "settings_classes", lambda: ["TrainingSettings", "NewSettings"])
    with pytest.raises(ValueError, match="^NewSettings of settings on no page; add to SECTIONS"):
        settings.write_settings()


def test_every_error_is_on_a_page(reference: tuple[Any, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that users may meet are all in one module, whose page lists each."""
    made, written = reference
    made.write_errors()
    kinds, new = [SandboxError], []
    while kinds:
        kinds += (found := kinds.pop().__subclasses__())
        new += [one for one in found if one.__module__.partition(".")[0] in ("sandbox", "trainers", "visualize")]
    assert len(new) > 20
    assert [one.__name__ for one in new if f"\n| `{one.__name__}` |" not in written["reference/errors.md"]] == []
    root = Path(__file__).parents[1]
    for path in (path for room in ("sandbox", "trainers", "visualize") for path in (root / room).rglob("*.py")):
        bases = re.findall(r"^class \w+\((\w+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert path.name == "errors.py" or not {one.__name__ for one in (SandboxError, *new)} & set(bases), path
    unnamed = type("Unnamed", (SandboxError,), {"__module__": "sandbox.errors"})
    monkeypatch.setattr("sandbox.errors.Unnamed", unnamed, raising=False)
    with pytest.raises(ValueError, match="^the error Unnamed has no description"):
        made.write_errors()


def test_a_plugin_without_words_fails(
    reference: tuple[Any, dict[str, str]], docs_site: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _ = reference
    pages = docs_site("plugin_pages")
    value = "sandbox.metrics:nothing"
    monkeypatch.setattr(pages, "plugins", lambda kind: [Plugin(kind, "mine", value, "social-sandbox")])
    monkeypatch.setattr(pages, "_words", lambda plugin: "")
    with pytest.raises(ValueError, match=f"^scenario 'mine' .{value}. has no description"):
        made.write_plugins()

    def draw(source: Any, *, known: int = 1, unknown: int = 2) -> None:
        """Draw.

        Args:
            source: A run.
            known: It has words.
        """

    settings = docs_site("settings_page")
    monkeypatch.setattr(settings, "load", lambda kind, name: draw)
    with pytest.raises(ValueError, match="^setting 'unknown' of the plot 'mine' has no description"):
        settings.plugin_settings(Plugin("plots", "mine", "mine:draw", "social-sandbox"))


def test_every_command_and_option_is_on_a_page(
    reference: tuple[Any, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, written = reference
    made.write_commands()
    page = written["reference/commands.md"]
    for name, command in made.commands():
        section = page.partition(f"\n## sandbox {name}\n")[2].partition("\n## ")[0]
        assert [
            one.opts[0] for one in command.params if one.opts[0].startswith("-") and one.opts[0] not in section
        ] == []
    monkeypatch.setattr(made, "commands", lambda: [("mine", SimpleNamespace(help="", params=[]))])
    with pytest.raises(ValueError, match="^the command 'mine' has no description"):
        made.write_commands()


def test_the_page_of_what_is_not_found_opens_from_disk(docs_site: Callable[[str], Any]) -> None:
    """Served for any address, its links start at the root of the site, which is that of the server or a folder of it."""
    links = docs_site("links")
    theirs = '<script src="https://unpkg.com/iframe-worker/shim"></script>'
    for root, site in (("/", None), ("/box/", "https://o.test/box/")):
        page = (
            f'<head>{theirs}<link href="{root}assets/a.css"></head><a href="{root}how_to.html"></a>'
            f'<script src="{root}assets/b.js"></script>'
        )
        made = links.on_post_template(page, "404.html", SimpleNamespace(site_url=site))
        assert re.findall(r'<(?:link|a|script) (?:href|src)="([^"]+)"', made) == [
            "assets/a.css",
            "how_to.html",
            "assets/b.js",
        ]
        assert made.index(f'<base href="{root}">') < made.index("assets/a.css")
        assert "unpkg" not in made
    assert links.on_post_template("<head>", "sitemap.xml", SimpleNamespace(site_url=None)) == "<head>"
