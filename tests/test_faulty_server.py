"""Societies that speak through a server that misbehaves (a stub with OpenAI's schema): what fails is kept as having
failed, all else is whole, and a resumed run completes it; no key is written anywhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_server import Answer, Asked, StubServer, completion, error

from sandbox import World, open_run
from sandbox.models.remote import retries
from sandbox.scenario.scenario import Scenario

MakeWorld = Callable[..., World]
KEY = "k3y-that-nobody-may-write-down"

FAULTS = {
    "429": Answer(429),
    "429 with Retry-After": error(429, "slow down", retry_after="0.01"),
    "500": error(500, f"oh no, and your key was {KEY}"),
    "reset in mid-body": Answer(cut=True),
    "never answering": Answer(silent=True),
    "malformed JSON": Answer(body=b'{"choices": [{"message": {"content": "I wou'),
    "an empty choice": Answer(body=b'{"choices": [{}], "usage": null}'),
    "no choices": Answer(body=b'{"choices": []}'),
    "10 MB": Answer(body=json.dumps({"choices": [{"message": {"content": "x" * 10_000_000}}]}).encode()),
    "wrong content type": Answer(body=b"<html>Bad gateway</html>", headers={"content-type": "text/html"}),
    "unauthorised": error(401, f"Incorrect API key provided: {KEY}"),
}
SCENARIO = Scenario("one", ["Is it so?", "Or so?"])
PATIENCE = {"model.retries": 2, "model.timeout_s": 1.0}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_SHORTEST_WAIT_S", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


class Moody:
    """A server's plan: one agent's drafts meet a fault until it recovers."""

    def __init__(self, fault: Answer, *agents: str) -> None:
        self.fault = fault
        self.agents = agents
        self.is_well = False

    def __call__(self, asked: Asked, _: int) -> Answer | None:
        first, last = (asked.body["messages"][i]["content"] for i in (0, -1))
        is_theirs = any(first.startswith(f"You are {agent}, ") for agent in self.agents)
        return self.fault if not self.is_well and is_theirs and last in SCENARIO.questions else None


@pytest.fixture
def server() -> Iterator[Callable[..., StubServer]]:
    """Starts servers; they are stopped with the test."""
    begun: list[StubServer] = []

    def start(plan: Any, **settings: Any) -> StubServer:
        begun.append(StubServer(plan, **settings).__enter__())
        return begun[-1]

    yield start
    for one in begun:
        one.__exit__()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_what_it_meets_and_a_resumed_run_completes_it(
    name: str, server: Callable[..., StubServer], tiny_world: MakeWorld, tmp_path: Path
) -> None:
    """Agent 5 cannot be asked; eight interactions are those of a server without faults, and then all nine are."""
    healthy, moody = server([]), Moody(FAULTS[name], "Agent 5")
    sick = server(moody)
    whole = tiny_world(SCENARIO, model=f"openai:m@{healthy.url}", out=tmp_path / "whole").run(1).interactions()
    model = f"openai:m@{sick.url}"
    first = tiny_world(SCENARIO, model=model, out=tmp_path / "run", **PATIENCE)
    run = first.run(1)
    failed = [it for it in run.interactions() if it.error is not None]
    assert [it.agent for it in failed] == [4]
    assert str(failed[0].error).startswith(f"CallFailed: {model}: ")
    assert KEY not in str(failed[0].error)
    assert [it for it in run.interactions() if it.agent != 4] == [it for it in whole if it.agent != 4]
    assert run.metrics()[0]["failed"] == 1
    first.close()

    moody.is_well = True
    asked = len(sick.asked)
    second = tiny_world(SCENARIO, model=model, out=tmp_path / "run", resume=True)
    run = second.run(1)
    assert run.interactions() == whole
    assert run.metrics()[0]["failed"] == 0
    # Its draft and revision, and four neighbours' ratings and reasons at most; nobody else is asked again.
    assert 0 < len(sick.asked) - asked <= 14
    assert run.memories(4) == [("Is it so?", whole[4].final)]
    second.close()


def test_a_rating_that_could_not_be_had_is_asked_for_again(
    server: Callable[..., StubServer], tiny_world: MakeWorld, tmp_path: Path
) -> None:
    """The interaction did not fail, since one rating is missing; resumed, it has it, in the first of two rounds too."""

    class Silent(Moody):
        def __call__(self, asked: Asked, _: int) -> Answer | None:
            first, last = (asked.body["messages"][i]["content"] for i in (0, -1))
            is_rating = first.startswith("You are Agent 5, ") and "Rate " in last
            return self.fault if not self.is_well and is_rating else None

    plan = Silent(error(500, "not now"))
    model = f"openai:m@{server(plan).url}"
    first = tiny_world(SCENARIO, model=model, **PATIENCE)
    missing = [f for it in first.run(2).interactions() for f in it.feedback if f.rating.value is None]
    assert {f.reviewer for f in missing} == {4}
    first.close()
    plan.is_well = True
    run = tiny_world(SCENARIO, model=model, resume=True).run(2)
    assert [f for it in run.interactions() for f in it.feedback if f.rating.value is None] == []
    whole = tiny_world(SCENARIO, model=f"openai:m@{server([]).url}", out=tmp_path / "whole").run(2)
    assert run.interactions() == whole.interactions()
    assert run.metrics() == whole.metrics()


def test_a_server_that_is_down_fails_all_and_the_run_ends(
    server: Callable[..., StubServer], tiny_world: MakeWorld
) -> None:
    down = server(lambda asked, number: error(503, "out for lunch"))
    model = f"openai:m@{down.url}"
    world = tiny_world(SCENARIO, model=model, **{**PATIENCE, "model.retries": 0})
    run = world.run(1)
    assert run.metrics()[0]["failed"] == 9
    world.close()
    down._plan = lambda asked, number: None
    assert tiny_world(SCENARIO, model=model, resume=True).run(2).metrics()[0]["failed"] == 0


def test_no_key_is_written_anywhere(
    server: Callable[..., StubServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Every file under the folder, the terminal and the log are searched; the server got the key and repeats it."""
    from typer.testing import CliRunner

    from sandbox.cli.main import app

    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THEIR_KEY", f"{KEY}-2")
    agents = server(Moody(FAULTS["500"], "Agent 3"))
    observer = server(lambda asked, n: FAULTS["unauthorised"] if n % 5 == 0 else None)
    words = [
        "run", "value_alignment", "--size", "3", "--rounds", "1", "--model", f"openai:m@{agents.url}",
        "--observer", f"openai:o@{observer.url}", "--rater", "lm", "--set", "embedder=hashing", "--out", "r",
        "--set", "model.retries=1", "--set", "observer.key_env=THEIR_KEY", "--set", "model.price_prompt=1.5",
    ]  # fmt: skip
    seen = ""
    for command in (words, ["report", "r"], ["export", "r", "--format", "jsonl", "--out", "r.jsonl"]):
        ended = CliRunner().invoke(app, [*command, "--json"])
        assert ended.exit_code == 0, ended.output
        seen += ended.output
    assert agents.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert observer.asked[0].headers["authorization"] == f"Bearer {KEY}-2"
    assert open_run("r").manifest["tokens"]["usd"] > 0
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) >= 4
    assert [path for path, content in files.items() if KEY.encode() in content] == []
    assert KEY not in seen + caplog.text + "".join(capsys.readouterr())


def test_money_is_counted_and_capped(server: Callable[..., StubServer], tiny_world: MakeWorld, tmp_path: Path) -> None:
    """The stub says 120 tokens read and 12 written a call: at 1000 and 5000 dollars a million, 0.12 + 0.06 = 0.18.

    Back-Scatter of an agent with at most four neighbours makes at most 2 + 4 + 4 * 2 = 14 calls, 2.52 dollars: a cap of
    10 lets three conversations end, and not all nine.
    """
    prices = {"model.price_prompt": "1000", "model.price_completion": "5000"}
    url = server([]).url
    whole = tiny_world(SCENARIO, model=f"openai:m@{url}", out=tmp_path / "whole", **prices)
    spent = whole.run(1).manifest["tokens"]
    assert spent["usd"] == pytest.approx(0.18 * spent["calls"])
    assert spent["usd"] > 10
    capped = tiny_world(SCENARIO, model=f"openai:m@{url}", max_cost=10.0, **prices)
    run = capped.run(1)
    assert capped.capped
    assert 0 < len(run.interactions()) < 9
    assert run.manifest["tokens"]["usd"] <= 10.0
    paid = run.manifest["tokens"]["usd"]
    capped.close()
    resumed = tiny_world(SCENARIO, model=f"openai:m@{url}", resume=True, **prices)
    assert resumed.run(1).interactions() == open_run(tmp_path / "whole").interactions()
    assert paid < resumed.store.manifest["tokens"]["usd"] <= spent["usd"] + 1e-9


def test_a_cap_on_money_without_prices_is_refused(tiny_world: MakeWorld, tmp_path: Path) -> None:
    from sandbox.errors import SettingsError

    with pytest.raises(SettingsError, match="no model has prices. Set them"):
        tiny_world(max_cost=1.0)
    assert not (tmp_path / "run").exists()


def test_the_stub_says_what_openais_schema_says() -> None:
    """What the tests above count as money."""
    said = json.loads(completion({"model": "m"}, chat=True, logprobs=False))
    assert (said["usage"]["prompt_tokens"], said["usage"]["completion_tokens"]) == (120, 12)
