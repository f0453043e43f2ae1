"""The gallery: for each included scenario a picture, a sentence, its file and the command that runs it."""

from __future__ import annotations

import importlib
from pathlib import Path

from tables import first_line, required, write

from sandbox.registry import plugins

_PICTURES = Path(__file__).parents[1] / "scenarios"


def write_gallery() -> None:
    """Write the page.

    Raises:
        ValueError: a scenario has no docstring or no picture.
    """
    cards = []
    for plugin in sorted(plugins("scenarios"), key=lambda one: one.name):
        if plugin.package != "social-sandbox":
            continue
        module, name = plugin.value.partition(":")[0], plugin.name
        words = required(first_line(importlib.import_module(module).__doc__), f"scenario {name!r}")
        if not (_PICTURES / f"{name}.png").is_file():
            raise ValueError(f"scenario {name!r} has no picture docs/scenarios/{name}.png; see examples/library.py")
        cards.append(
            f"-   [![{name}](scenarios/{name}.png)](scenarios/{name}.png)\n\n    **{name}** – {words}\n\n"
            f"    ```sh\n    sandbox run {name}\n"
            f"    ```\n\n    "
            f"`{module.replace('.', '/')}.py` · [what it shows, and results](scenarios.md#{name})"
        )
    text = "\n\n".join(cards)
    write(
        "gallery.md",
        "# Gallery\n\nThe scenarios that are included. Pictures are measures over the rounds of small societies of the bundled "
        "model, made by `python examples/library.py`; what they show, and what not, is on the page of each. A scenario "
        f'of your own: [tutorial](tutorials/own_scenario.md).\n\n<div class="grid cards" markdown>\n\n{text}\n\n</div>\n',
    )
