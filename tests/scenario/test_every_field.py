"""Each field of a scenario has its line in the documents, and a numbered example that gives it."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from sandbox import Scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own_scenario.md").read_text(encoding="utf-8")
TABLE = PAGE.split("## All fields")[1].split("\n## ")[0]
EXAMPLES = {
    name: path
    for line in TABLE.splitlines()
    if (found := re.search(r"\(\.\./(examples/\d\d_\w+\.py)\) \|$", line))
    for path in [found[1]]
    for name in re.findall(r"`(\w+)`", line.split("|")[1])
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Scenario)])
def test_it_is_documented_and_its_example_gives_it(field: str) -> None:
    assert field in EXAMPLES, f"{field} has no line under 'All fields'"
    tree = ast.parse((ROOT / EXAMPLES[field]).read_text(encoding="utf-8"))
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Scenario"
    ]
    assert field in {keyword.arg for call in calls for keyword in call.keywords}, EXAMPLES[field]


def test_the_table_has_no_other_fields() -> None:
    assert set(EXAMPLES) == {field.name for field in dataclasses.fields(Scenario)}
