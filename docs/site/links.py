"""Links of the repository's pages, as they lead within the site.

A page outside docs/ has a copy in the site (see ``generate.py``), as have numbered examples; any other file of the repository
is shown as a page of its text. Links that lead to no file fail the build.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from formulas import drawn
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
COPIES = {
    "README.md": "index.md", "scenarios/README.md": "scenarios.md", "examples/paper.md": "paper.md",
    "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "tests/benchmarks/README.md": "benchmarks.md",
    "tests/benchmarks/TRAINERS.md": "training_speed.md",
}  # fmt: skip
_WIDTH = 84  # characters of code that a page shows without scrolling
_SHELL = re.compile(r"(?<=^```sh\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s]+)(#[^)\s]*)?\)")
_THEIRS = '<script src="https://unpkg.com/iframe-worker/shim"></script>'
_OURS = (ROOT / "docs" / "site" / "search_from_disk.js").read_text(encoding="utf-8")
# On the page of what is not found: where its links start, and where the theme's script finds the index of the search.
_BASE = """if (location.protocol !== "file:") document.write('<base href="ROOT">');"""
_SEARCH = """{
  const config = document.getElementById("__config"), base = new URL(".", document.baseURI).href;
  config.textContent = JSON.stringify({ ...JSON.parse(config.textContent), base });
}"""
_LANGUAGES = {".py": "python", ".tmpl": "python", ".toml": "toml", ".jsonl": "json", ".csv": "text", ".txt": "text"}


def on_files(files: Any, config: Any) -> Any:
    """Add a page or a picture for each file of the repository that a page links to."""
    for file in list(files.documentation_pages()):
        text = file.content_string
        for _, target, _ in _LINK.findall(text):
            path = _repository_path(file.src_uri, text, target)
            if path is None or path in COPIES or path.startswith("docs/") or _example(path):
                continue
            if (ROOT / path).is_file() and files.get_file_from_path(_page(path)) is None:
                files.append(_copy(path, config))
    return files


def on_nav(nav: Any, config: Any, files: Any) -> Any:
    """The list from which the menu is made is no page."""
    files.remove(files.get_file_from_path("navigation.md"))
    return nav


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links of the repository into those of the site."""

    def turned(link: re.Match[str]) -> str:
        path = _repository_path(page.file.src_uri, markdown, link[2])
        if path is None or not (ROOT / path).exists():
            return link[0]
        target = (
            path.removeprefix("docs/") if path.startswith("docs/") else COPIES.get(path, _example(path) or _page(path))
        )
        return f"{link[1]}{posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or '.')}{link[3] or ''})"

    return _SHELL.sub(lambda block: comments_above(block[0]), _LINK.sub(turned, markdown))


def comments_above(commands: str) -> str:
    """Commands whose comments, behind long lines, would be out of sight: each comment above its command."""
    lines = commands.splitlines()
    if all(len(line) <= _WIDTH for line in lines):
        return commands
    parts = [re.fullmatch(r"(\S.*?)\s{2,}# (.*)", line) for line in lines]
    return "".join(
        f"# {part[2]}\n{part[1]}\n" if part else f"{line}\n" for part, line in zip(parts, lines, strict=True)
    )


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Formulas are drawn, and roles of docstrings (``:class:``, a path after ``~``) left out, as names are code already."""
    html = re.sub(r":(?:class|func|mod|meth|data|attr):<code>(?:~[\w.]*\.)?", "<code>", html)
    return drawn(html) if page.file.src_uri.startswith("trainers/") else html


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """Make the links of the page of what is not found work on disk too.

    Served, it may stand for any address, so that its links start at the root of the site; on disk they start at its folder.
    """
    if template_name != "404.html":
        return output_content
    root = urlsplit(config.site_url or "/").path
    page = re.sub(rf'((?:href=|src=|"search": )"){re.escape(root)}', r"\1", output_content)
    page = page.replace(f'new URL("{root}",location)', 'new URL(".",document.baseURI)')
    page = page.replace("<head>", f"<head><script>{_BASE.replace('ROOT', root)}</script>", 1)
    return on_post_page(page.replace('<script src="assets/', f'<script>{_SEARCH}</script>\n<script src="assets/', 1))


def on_post_page(output: str, **_: Any) -> str:
    """The theme's script that lets pages search from disk is fetched from a network; ours is part of each page.

    Raises:
        PluginError: the theme no longer names its script, so that this has to be looked at again.
    """
    if _THEIRS not in output:
        raise PluginError(f"the theme's pages have no {_THEIRS}; see docs/site/search_from_disk.js")
    return output.replace(_THEIRS, f"<script>{_OURS}</script>")


def _repository_path(page: str, text: str, target: str) -> str | None:
    """The file that a link leads to, relative to the repository; None if the link leads elsewhere."""
    if re.match(r"[a-z]+:|/", target):
        return None
    source = re.match(r"<!-- source: (\S+) -->", text)
    if source is None and not (ROOT / "docs" / page).is_file():
        return None  # a generated page links within the site
    start = ROOT / (source[1] if source else f"docs/{page}")
    return os.path.relpath(start.parent / target, ROOT).replace(os.sep, "/")


def _example(path: str) -> str | None:
    return f"{path[:-3]}.md" if re.fullmatch(r"examples/[0-9]+_\w+\.py", path) else None


def _page(path: str) -> str:
    return path if Path(path).suffix in (".png", ".svg", ".md") else f"source/{path}.md"


def _copy(path: str, config: Any) -> File:
    text = (ROOT / path).read_text(encoding="utf-8") if Path(path).suffix not in (".png", ".svg") else None
    if text is None:
        return File.generated(config, path, abs_src_path=str(ROOT / path))
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return File.generated(config, _page(path), content=f"# {path}\n\n````{language}\n{text}\n````\n")
