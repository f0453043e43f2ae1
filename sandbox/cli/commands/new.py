"""``sandbox new``: writes a starter plugin with a passing test."""

from __future__ import annotations

import keyword
import sys
from importlib import resources, util
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from sandbox import registry
from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json
from sandbox.errors import NewPluginError, UnknownPlugin, nearest

KINDS = ("scenario", "protocol", "model", "rater", "embedder", "memory", "trainer", "plot")
# Kinds whose plugin is a function, which has the plugin's name.
_FUNCTIONS = ("protocol", "plot")


@app.command("new")
def new(
    kind: Annotated[str, typer.Argument(help="scenario, protocol, model, rater, embedder, memory, trainer or plot.")],
    name: Annotated[str, typer.Argument(help="Name of the plugin, a Python identifier.")],
    out: Annotated[
        Path | None, typer.Option(help="Output folder; default: NAME, or the current folder for a scenario.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a starter plugin: a commented module, its entry point, and a passing test."""
    files = write_plugin(kind, name, out)
    if as_json:
        say_json({"kind": kind, "name": name, "files": [str(path) for path in files]})
        return
    for path in files:
        say(str(path))
    folder = files[0].parent
    if kind == "scenario":
        say(f"Run it with: sandbox run {folder / name}.py    Check it with: pytest {folder / f'test_{name}.py'}")
    else:
        say(f"Check it with: pytest {folder}    Install it with: pip install -e {folder}")


def write_plugin(kind: str, name: str, out: Path | None = None) -> list[Path]:
    """Write the files of a new plugin; writes either all of them or none.

    Args:
        kind: One of ``KINDS``.
        name: Name of the plugin and of its module.
        out: The folder; created if missing.

    Returns:
        The paths of the files.

    Raises:
        UnknownPlugin: the kind does not exist.
        NewPluginError: the name cannot be used, or a file exists already.
    """
    if kind not in KINDS:
        raise UnknownPlugin(f"no kind of plugin named {kind!r}.{nearest(kind, KINDS)} Kinds: {', '.join(KINDS)}")
    _check_is_name(name)
    folder = out if out is not None else Path() if kind == "scenario" else Path(name)
    wanted = {f"{name}.py": f"{kind}.py", f"test_{name}.py": "test_plugin.py", "pyproject.toml": "pyproject.toml"}
    if kind == "scenario":
        # A scenario is loaded by its path: nothing needs installing.
        wanted = {f"{name}.py": "scenario.py", f"test_{name}.py": "test_scenario.py"}
    taken = [str(folder / file) for file in wanted if (folder / file).exists()]
    if taken:
        raise NewPluginError(f"{', '.join(taken)} would be overwritten; choose another name or another --out")
    _check_is_free(kind, name)
    object_ = name if kind in _FUNCTIONS else "".join(part.capitalize() for part in name.split("_"))
    words = {
        "kind": kind,
        "group": registry.kind_of_many(kind),
        "name": name,
        "object": object_,
        "distribution": f"sandbox-{name.replace('_', '-')}",
        # These classes take the rest of a URI, so the check gets an instance.
        "tested": f'{object_}("")' if kind in ("model", "rater", "embedder") else object_,
    }
    templates = resources.files("sandbox.cli") / "skeletons"
    texts = {
        file: Template((templates / f"{template}.tmpl").read_text(encoding="utf-8")).substitute(words)
        for file, template in wanted.items()
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NewPluginError(
            f"the folder {folder} cannot be created ({error.strerror}); choose another --out"
        ) from None
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]


def _check_is_name(name: str) -> None:
    if not (name.isascii() and name.isidentifier() and name == name.lower()) or keyword.iskeyword(name):
        near = "".join(c if c.isascii() and c.isalnum() else "_" for c in name.lower()).strip("_")
        near = f"my_{near}" if near[:1].isdigit() or keyword.iskeyword(near) else near
        raise NewPluginError(
            f"a plugin cannot be called {name!r}: use a Python module name of lower-case letters, digits and _"
            + (f", for example {near}" if near else "")
        )


def _check_is_free(kind: str, name: str) -> None:
    many = registry.kind_of_many(kind)
    if name in (p.name for p in registry.plugins(many)):
        raise NewPluginError(f"a {kind} named {name!r} is already installed; see: sandbox ls {many}")
    if name in sys.stdlib_module_names or name.startswith("test_") or util.find_spec(name) is not None:
        raise NewPluginError(
            f"a plugin called {name!r} would shadow the module of that name; use another name, for example my_{name}"
        )
