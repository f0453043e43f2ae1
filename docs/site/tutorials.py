"""Tutorials: pages whose code and commands are run while the site is built, and whose output is on the page.

Blocks of a page run in order, in an empty folder: ``python`` in one namespace, ``sh`` line by line if the line begins with
``sandbox``. A block with a title, for example ``python title="village.py"``, is written to that file instead. A comment
``<!-- picture: FILE: WORDS -->`` becomes that picture. An error in a block fails the build.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
import tempfile
import textwrap
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mkdocs_gen_files
from notebooks import NOTEBOOKS, colab, notebook, notebook_text
from pieces import Block, Picture, Piece, is_run, pieces, source, tutorials
from tables import write
from typer.testing import CliRunner

from sandbox.cli.main import app

_LONGEST, _WIDEST = 40, 80  # lines of an output, and letters of a line


@dataclass(frozen=True)
class Shown:
    """A piece of a page, and what it gave: the output of a block, or the bytes of a picture."""

    piece: Piece
    output: str | bytes = ""


def write_tutorials() -> list[tuple[str, str]]:
    """Run the tutorials, and write their pages and notebooks.

    Raises:
        RuntimeError: a block fails; names the page, and holds the traceback.
        FileNotFoundError: a page of the order, or a picture, does not exist.
    """
    written = []
    for name in tutorials():
        began = time.process_time()
        text = source(name)
        shown = run_page(text, name)
        page, pictures = as_page(shown, name)
        for target, content in pictures.items():
            with mkdocs_gen_files.open(f"tutorials/{target}", "wb") as file:
                file.write(content)
        write(f"tutorials/{name}.md", page.replace("\n", f"\n\n{_offers(name)}\n", 1))
        write(f"tutorials/{name}.ipynb", notebook_text(notebook([(one.piece, one.output) for one in shown], name)))
        written.append((text.partition("\n")[0].removeprefix("# "), f"tutorials/{name}.md"))
        if os.environ.get("TUTORIAL_TIMES"):
            sys.stderr.write(f"{name}: {time.process_time() - began:.1f} s\n")
    return written


def run_page(text: str, name: str) -> list[Shown]:
    """Run the blocks of a page.

    Args:
        text: Its Markdown.
        name: Its name, for errors.

    Returns:
        Its pieces, each with what it gave.
    """
    shown = []
    names: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _quiet():
        for piece in pieces(text):
            if isinstance(piece, Block):
                shown.append(Shown(piece, _shortened(_run(piece, names, name))))
            else:
                shown.append(Shown(piece, Path(piece.file).read_bytes() if isinstance(piece, Picture) else ""))
    return shown


def as_page(shown: list[Shown], name: str) -> tuple[str, dict[str, bytes]]:
    """The page with the output behind each block, and its pictures by file name."""
    parts, pictures = [], {}
    for one in shown:
        if isinstance(one.piece, Picture):
            target = f"{name}-{one.piece.file.replace('/', '-')}"
            pictures[target] = bytes(one.output)
            parts.append(f"![{one.piece.words}]({target})")
        else:
            parts.append(one.piece.source)
            parts += [f"\n\n```{{ .text .output }}\n{one.output}\n```"] if one.output else []
    return "".join(parts), pictures


def _offers(name: str) -> str:
    """What stands above a page: its notebook, and where that can be opened."""
    download = f'[Download the notebook]({name}.ipynb){{ download="{name}.ipynb" }}'
    opened = f"[Open in Colab]({link})" if (link := colab(name)) else f"in a checkout: `{NOTEBOOKS}/{name}.ipynb`"
    return f"{download} · {opened}"


def _run(block: Block, names: dict[str, Any], page: str) -> str:
    """What a block prints."""
    if block.title is not None:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(block.code, encoding="utf-8")
        return ""
    out = io.StringIO()
    if block.language == "python":
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(block.code, f"tutorials/{page}.md", "exec"), names)
        except Exception as error:
            raise RuntimeError(
                f"tutorials/{page}.md: a block fails:\n{block.code}\n{traceback.format_exc()}"
            ) from error
    return out.getvalue() + "".join(_command(line, page) for line in block.commands() if is_run(line))


def _command(line: str, page: str) -> str:
    ended = CliRunner().invoke(app, shlex.split(line, comments=True)[1:], env={"COLUMNS": "84", "NO_COLOR": "1"})
    if ended.exit_code:
        raise RuntimeError(f"tutorials/{page}.md: {line}\n{ended.output}\n{ended.exception!r}")
    return ended.stdout


def _shortened(output: str) -> str:
    """An output as it is shown: without empty lines around it, long lines broken, and cut after so many lines."""
    lines = [part for line in output.strip("\n").splitlines() for part in _wrapped(line.rstrip())]
    if not any(lines):
        return ""
    if len(lines) > _LONGEST:
        lines = [*lines[: _LONGEST - 1], f"... {len(lines) - _LONGEST + 1} more lines"]
    return "\n".join(lines)


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
