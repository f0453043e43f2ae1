"""Tutorials: pages whose code and commands are run while the site is built, and whose output is on the page.

Blocks of a page run in order, in an empty folder: ``python`` in one namespace, ``sh`` line by line if the line begins with
``sandbox``. A block with a title, for example ``python title="village.py"``, is written to that file instead. A comment
``<!-- picture: FILE: WORDS -->`` becomes that picture. An error in a block fails the build.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import textwrap
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mkdocs_gen_files
from tables import write
from typer.testing import CliRunner

from sandbox.cli.main import app

FOLDER = Path(__file__).parents[1] / "tutorials"
ORDER = (
    "first_society", "own_scenario", "own_protocol", "own_trainer", "own_reward", "look", "evaluate_and_evolve", "other_models",
)  # fmt: skip
_BLOCK = re.compile(r'^```(python|sh|yaml|json)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_PICTURE = re.compile(r"<!-- picture: (\S+): (.+?) -->")
_LONGEST, _WIDEST = 40, 80  # lines of an output, and letters of a line


def write_tutorials() -> list[tuple[str, str]]:
    """Run the tutorials and write their pages.

    Raises:
        RuntimeError: a block fails; names the page, and holds the traceback.
        FileNotFoundError: a page of the order, or a picture, does not exist.
    """
    pages = []
    for name in (*ORDER, *sorted(path.stem for path in FOLDER.glob("*.md") if path.stem not in ORDER)):
        began = time.process_time()
        text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
        page, pictures = run_page(text, name)
        for target, content in pictures.items():
            with mkdocs_gen_files.open(f"tutorials/{target}", "wb") as file:
                file.write(content)
        write(f"tutorials/{name}.md", page)
        pages.append((text.partition("\n")[0].removeprefix("# "), f"tutorials/{name}.md"))
        if os.environ.get("TUTORIAL_TIMES"):
            sys.stderr.write(f"{name}: {time.process_time() - began:.1f} s\n")
    return pages


def run_page(text: str, name: str) -> tuple[str, dict[str, bytes]]:
    """Run the blocks of a page.

    Args:
        text: Its Markdown.
        name: Its name, for errors and for the names of pictures.

    Returns:
        The page with the output behind each block, and its pictures by file name.
    """
    parts, pictures = [], {}
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _quiet():
        at = 0
        for block in _BLOCK.finditer(text):
            language, title, code = block.groups()
            parts += [text[at : block.end()], _shown(_run(language, title, code, names, name))]
            at = block.end()
        page = "".join([*parts, text[at:]])
        for picture, words in _PICTURE.findall(page):
            target = f"{name}-{picture.replace('/', '-')}"
            pictures[target] = Path(picture).read_bytes()
            page = page.replace(f"<!-- picture: {picture}: {words} -->", f"![{words}]({target})")
    return page, pictures


def _run(language: str, title: str | None, code: str, names: dict[str, Any], page: str) -> str:
    """What a block prints."""
    if title is not None:
        Path(title).parent.mkdir(parents=True, exist_ok=True)
        Path(title).write_text(code, encoding="utf-8")
        return ""
    if language == "sh":
        lines = code.replace("\\\n", "").splitlines()
        return "".join(_command(line, page) for line in lines if line.startswith("sandbox "))
    out = io.StringIO()
    if language == "python":
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(code, f"tutorials/{page}.md", "exec"), names)
        except Exception as error:
            raise RuntimeError(f"tutorials/{page}.md: a block fails:\n{code}\n{traceback.format_exc()}") from error
    return out.getvalue()


def _command(line: str, page: str) -> str:
    ended = CliRunner().invoke(app, shlex.split(line, comments=True)[1:], env={"COLUMNS": "84", "NO_COLOR": "1"})
    if ended.exit_code:
        raise RuntimeError(f"tutorials/{page}.md: {line}\n{ended.output}\n{ended.exception!r}")
    return ended.stdout


def _shown(output: str) -> str:
    lines = [part for line in output.strip("\n").splitlines() for part in _wrapped(line.rstrip())]
    if not any(lines):
        return ""
    if len(lines) > _LONGEST:
        lines = [*lines[: _LONGEST - 1], f"... {len(lines) - _LONGEST + 1} more lines"]
    return "\n\n```{ .text .output }\n" + "\n".join(lines) + "\n```"


def _wrapped(line: str) -> list[str]:
    """A long line as several; those of tables stay as they are."""
    if len(line) <= _WIDEST or not line.isascii() or line.count("  ") > 3:
        return [line]
    return textwrap.wrap(line, _WIDEST, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings and progress of libraries out of the build's own output."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
