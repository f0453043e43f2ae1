"""The Python on the pages of docs/, run as printed; models of the bundled kind are stood in for by scripted ones."""

from __future__ import annotations

import importlib.util
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sandbox import Reply, Scenario, ScriptedModel, World

ROOT = Path(__file__).parents[1]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted(ROOT.glob("docs/*.md"))
    for number, block in enumerate(
        re.findall(r"^```python[^\n]*\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    )
]
PACKAGES = ("openenv", "verifiers")


def answer(request: Any) -> str | Reply:
    if request.choices:
        return str(request.choices[0])
    if request.schema:
        return json.dumps({"vote": "yes", "why": "It is fair."})
    return "2.5" if request.prefix else "Agreed: we share it."


def run(scenario: Scenario) -> None:
    """Two rounds, without a failure."""
    settings = {"observer": "scripted:", "embedder": "hashing", "size": 3}
    with_names = {} if scenario.personas is None else {"size": 2}
    world = World(scenario, model=ScriptedModel(replies=answer), **{**settings, **with_names})
    frame = world.run(rounds=2).frame()
    assert len(frame) > 0
    assert frame["error"].isna().all(), frame["error"].dropna().tolist()


def speak(agent: Any, question: str, world: World) -> Any:
    said = yield agent.answer(question)
    return world.interaction(agent, question, draft=said.text)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_python_of_a_page_runs(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios, protocols and functions of a society are used in one; a piece of a protocol is run in one."""
    for package in PACKAGES:
        if package in block and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(ROOT)
    found: dict[str, Any] = {"__name__": "page"}
    if re.search(r"^\w+ = yield ", block, flags=re.MULTILINE):
        block = f"def piece(agent, question, world):\n{textwrap.indent(block, '    ')}"
        block += "    return world.interaction(agent, question, draft=str(found))\n"
    exec(compile(block.replace("smollm2", "scripted:"), "page", "exec"), found)
    asked = ["Who should clear the path?"]
    if isinstance(found.get("scenario"), Scenario):
        run(found["scenario"])
    for name in ("piece", "post"):
        if name in found:
            run(Scenario(questions=asked, protocol=found[name], state={"said": "", "plan": ""}))
    if "settle" in found:
        run(Scenario(questions=asked, protocol=speak, settle=found["settle"], state={"wealth": 3.0, "said": ""}))
