"""The commands of the pages of docs/, run page by page, each in its own folder; page_commands.py says what is stood in for."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import networkx as nx
import pytest
from page_commands import COPIED, NEEDS, NOT_RUN, OTHER_LANGUAGES, PAGES, ROOT, SLOW, languages, lines, reason, small
from typer.testing import CliRunner

from sandbox.cli.main import app
from sandbox.models.local.bundled import converted_folder
from sandbox.testing import tiny_lm

pytestmark = pytest.mark.needs_torch


def sandbox(*words: object) -> str:
    """Why a command failed; empty if it did not."""
    ended = CliRunner().invoke(app, [str(word) for word in words])
    return f"{ended.output[-1000:]}\n{ended.exception!r}" if ended.exit_code else ""


def block(page: str, language: str, holds: str) -> str:
    """The first block of a page with some words in it."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return str(next(one for one in found if holds in one))


def train(*words: object) -> None:
    assert not sandbox("train", *words, "--set", "max_steps=2", "--set", "progress=false")


def people_answer(path: Path) -> None:
    path.write_text("question_id,answer,side\nhours,4,native\nhours,6,newcomer\nvote,playground,native\n")


def society(path: Path, scenario: str = "value_alignment") -> None:
    assert not sandbox(*small(f"sandbox run {scenario} --size 3 --rounds 2 --out {path}", ""))


def offers(path: Path) -> None:
    Path("offers.py").write_text(block("docs/tutorials/own_protocol.md", "python[^\\n]*", "def offer"))
    society(path, "offers.py")


MADE: dict[str, Callable[[Path], object]] = {
    "runs/first": society,
    "runs/goods": lambda path: society(path, "public_goods"),
    "runs/village": lambda path: society(path, str(ROOT / "examples" / "02_own_scenario.py")),
    "runs/offers": offers,
    "pairs.jsonl": lambda path: sandbox("dataset", "runs/first", "--kind", "preferences", "--split", 0.2, "--out", path),
    "pairs.heldout.jsonl": lambda path: None,  # written with the pairs
    "models/first": lambda path: train("runs/first", "--out", path),
    "models/dpo": lambda path: train("pairs.jsonl", "--trainer", "dpo", "--out", path),
    "cache": lambda path: tiny_lm(converted_folder()),
    "net.graphml": lambda path: nx.write_graphml(nx.cycle_graph(6), path),
    "links.csv": lambda path: path.write_text(block("docs/own_scenario.md", "csv", "source,target")),
    "flood.py": lambda path: path.write_text('def event(world):\n    world.tell("The mill is flooded.")\n'),
    "brief.py": lambda path: path.write_text(block("docs/training.md", "python", "brevity")),
    "QUESTIONS.csv": lambda path: path.write_text(block("docs/surveys.md", "csv", "id,question")),
    "HUMAN.csv": people_answer,
}  # fmt: skip
MADE_FROM = {
    "pairs.jsonl": ("runs/first",), "pairs.heldout.jsonl": ("pairs.jsonl",), "models/first": ("runs/first", "cache"),
    "models/dpo": ("pairs.jsonl", "cache"),
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes what pages need, each once, in a folder whose cache has a tiny model in the place of the bundled one."""
    folder = tmp_path_factory.mktemp("made")

    def make(name: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SANDBOX_CACHE", str(folder / "cache"))
            patch.chdir(folder)
            if not Path(name).exists():
                Path(name).parent.mkdir(exist_ok=True)
                for needed in MADE_FROM.get(name, ()):
                    make(needed)
                MADE[name](Path(name))
        return folder / name

    return make


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Stand-ins of a model server, of which it gives the address, and of the hub."""
    from hub_server import TOKEN, HubServer
    from huggingface_hub import constants
    from stub_server import StubServer

    with StubServer() as server, HubServer() as hub:
        for name, value in (("HF_ENDPOINT", hub.url), ("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_XET", "1"),
                            ("OPENAI_BASE_URL", server.url), ("OPENAI_API_KEY", "k"), ("MY_KEY", "k")):  # fmt: skip
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server.url


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in NEEDS]
)
def test_the_commands_of_a_page_run(
    name: str, prepared: Callable[[str], Path], servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.evaluation import judges

    monkeypatch.setattr(judges, "MIN_RESERVED_QUESTIONS", 10**6)  # of slow tests too: see conftest.py
    monkeypatch.setenv("SANDBOX_CACHE", str(prepared("cache")))
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(ROOT / "examples")
    for needed in NEEDS[name]:
        source = prepared(needed)
        Path(needed).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, needed)
    failed = []
    for line in lines(f"docs/{name}.md"):
        if reason(line) is None:
            why = sandbox(*small(line, servers))
            failed += [f"{line}\n  as {shlex.join(small(line, servers))}\n{why}"] if why else []
    assert not failed, "\n\n".join(failed)


def test_every_block_is_run_or_named_with_a_reason() -> None:
    """Blocks of other languages are Python, which test_page_code.py runs, or no code."""
    assert {page: languages(page) - {"sh", *OTHER_LANGUAGES} for page in PAGES} == {page: set() for page in PAGES}
    run = {f"docs/{name}.md" for name in NEEDS} | {"README.md"}
    assert [line for page in PAGES if page not in run for line in lines(page) if reason(line) is None] == []
    assert [
        line for page in run for line in lines(page) if not line.startswith("sandbox ") and reason(line) is None
    ] == []


def test_what_is_not_run_is_on_a_page_and_tested_where_it_says() -> None:
    printed = [line for page in PAGES for line in lines(page)]
    assert [begin for begin in NOT_RUN if not any(line.startswith(begin) for line in printed)] == []
    assert [test for _, test in NOT_RUN.values() if test and not (ROOT / test).is_file()] == []
    assert set(COPIED) <= {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.md")}
