"""Pages of the site that are made from the program: home, examples, trainers, and the reference.

Run by mkdocs (plugin gen-files) while it builds; nothing is written into the repository.
"""

from __future__ import annotations

import ast
from pathlib import Path

from formats import write_formats
from gallery import write_gallery
from plugin_pages import write_llms
from reference_pages import write_reference
from tables import write
from trainer_pages import write_trainers
from tutorials import write_tutorials

ROOT = Path(__file__).parents[2]
HOW_TO = {
    "how_to.md": "Common questions", "command_line.md": "Command line", "own_scenario.md": "Your own scenario",
    "language_models.md": "Language models",
    "raters.md": "Raters", "training.md": "Training", "environments.md": "Environments",
    "evaluation.md": "Evaluation", "surveys.md": "Surveys",
    "visualisation.md": "Visualisation", "plugins.md": "Plugins",
}  # fmt: skip


def write_copies() -> None:
    """Pages of the repository that stand outside docs/."""
    for page, source in (
        ("index.md", "README.md"), ("scenarios.md", "scenarios/README.md"), ("paper.md", "examples/paper.md"),
        ("contributing.md", "CONTRIBUTING.md"), ("changelog.md", "CHANGELOG.md"),
        ("benchmarks.md", "tests/benchmarks/README.md"), ("training_speed.md", "tests/benchmarks/TRAINERS.md"),
    ):  # fmt: skip
        write(page, (ROOT / source).read_text(encoding="utf-8"), source)


def write_examples() -> list[tuple[str, str]]:
    """A page for each numbered example: what it shows, and its code."""
    found = []
    for path in sorted((ROOT / "examples").glob("[0-9]*.py")):
        code = path.read_text(encoding="utf-8")
        words = ast.get_docstring(ast.parse(code)) or ""
        title = path.stem[3:].replace("_", " ").capitalize()
        page = f"examples/{path.stem}.md"
        body = code.split('"""', 2)[2].lstrip("\n")
        write(page, f"# {title}\n\n{fence_commands(words)}\n\n`examples/{path.name}`\n\n```python\n{body}```\n")
        found.append((title, page))
    return found


def fence_commands(words: str) -> str:
    """A docstring whose paragraphs of commands are blocks of code."""
    parts = words.split("\n\n")
    lines = [[line.strip() for line in part.splitlines()] for part in parts]
    are_commands = [all(line.startswith(("sandbox ", "python ")) for line in some) for some in lines]
    return "\n\n".join(
        "```sh\n{}\n```".format("\n".join(some)) if are else part
        for part, some, are in zip(parts, lines, are_commands, strict=True)
    )


def write_navigation(shelves: dict[str, list[tuple[str, str]]]) -> None:
    """The site's menu.

    Raises:
        ValueError: a page of docs/ is not in it.
    """
    shown = {page for pages in shelves.values() for _, page in pages}
    if left_out := sorted(path.name for path in (ROOT / "docs").glob("*.md") if path.name not in shown):
        raise ValueError(f"{', '.join(left_out)} is in docs/, but not in the menu of docs/site/generate.py")
    lines = ["* [Social Sandbox](index.md)"]
    for shelf, pages in shelves.items():
        lines += [f"* {shelf}", *(f"    * [{title}]({page})" for title, page in pages)]
    write("navigation.md", "\n".join(lines) + "\n")
    write_llms(shelves)


write("stylesheets/site.css", (ROOT / "docs" / "site" / "site.css").read_text(encoding="utf-8"))
write_copies()
write_formats()
write_gallery()
write_navigation(
    {
        "Tutorials": write_tutorials(),
        "Examples": write_examples(),
        "How-to": [(title, page) for page, title in HOW_TO.items()],
        "Concepts": [
            ("Architecture", "architecture.md"), ("Glossary", "glossary.md"),
            ("Statistics", "statistics.md"),
            ("Coming from another library", "coming_from.md"), ("Papers", "papers.md"),
            ("Studies", "studies.md"),
            ("Gallery", "gallery.md"), ("Results of scenarios", "scenarios.md"),
            ("The paper's claims", "paper.md"), ("Speed", "benchmarks.md"), ("Speed of trainers", "training_speed.md"),
            ("Contributing", "contributing.md"), ("Changelog", "changelog.md"),
        ],
        "Trainers": write_trainers(),
        "Reference": write_reference(),
    }
)  # fmt: skip
