"""``sandbox chat`` and ``sandbox models``: a talk with a model or an agent, and what models there are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stub_server import Answer, StubServer
from typer.testing import CliRunner

from sandbox import open_run
from sandbox.chat import ChatSession, agent_role, plain_role
from sandbox.cli.main import app
from sandbox.errors import ModelNotFound, SettingsError
from sandbox.models.base import Reply, Request
from sandbox.models.inventory import LOCAL_SERVERS, bundled, folders, served
from sandbox.models.scripted import ScriptedModel
from sandbox.world import World


def sandbox(*words: str, **given: Any) -> Any:
    return CliRunner().invoke(app, list(words), **given)


# -- chat --------------------------------------------------------------------------------------------------------------


def test_each_turn_knows_those_before_it(scripted_lm: Callable[..., Any]) -> None:
    lm = scripted_lm(["one", "two"])
    talk = ChatSession(lm, plain_role("You are terse."), max_tokens=9)
    assert [talk.say("first?").text, talk.say("second?").text] == ["one", "two"]
    assert [tuple(m) for m in lm.history[1].messages] == [
        ("system", "You are terse."), ("user", "first?"), ("assistant", "one"), ("user", "second?")
    ]  # fmt: skip
    assert lm.history[0].max_tokens == 9
    assert lm.history[0].seed != lm.history[1].seed


def test_a_turn_that_failed_leaves_no_trace() -> None:
    said = iter([Reply("", finish_reason="error", error="gone"), Reply("here")])
    lm = ScriptedModel(replies=lambda request: next(said))
    talk = ChatSession(lm, plain_role())
    assert [talk.say("first?").error, talk.say("second?").text] == ["gone", "here"]
    assert [m.content for m in lm.history[1].messages] == ["second?"]


def test_an_agent_of_a_run_speaks_with_its_memory(run_dir: Path, tmp_path: Path) -> None:
    """Its own last answer to a question of the run, told to it as in the run; so are its name and its upbringing."""
    run = open_run(run_dir)
    question, answer = run.memories(4)[0]
    lm = ScriptedModel(replies=lambda request: "As I said.")
    talk = ChatSession(lm, agent_role(run, 4))
    talk.say(question)
    assert talk.recalled == (question, answer)
    system, user = lm.history[0].messages
    assert system.content.startswith("You are Agent 5, ")
    assert answer in user.content
    assert user.content.endswith(question)
    world = World("value_alignment", model="scripted:", embedder="hashing", size=3, out=tmp_path / "again")
    try:
        born = world.members[4].upbringing[0]
    finally:
        world.close()
    talk.say(born.question)
    assert talk.recalled == (born.question, born.answer)


def test_an_agent_that_is_not_there_is_refused(run_dir: Path) -> None:
    with pytest.raises(SettingsError, match="has no agent 9. Its agents are 0 to 8$"):
        agent_role(open_run(run_dir), 9)


def test_chat_answers_a_question_or_lines(tmp_path: Path, run_dir: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("def reply(request):\n    return f'{len(request.messages)}: {request.messages[-1].content}'\n")
    asked = sandbox("chat", f"scripted:{script}", "Hello?")
    assert (asked.exit_code, asked.stdout) == (0, "1: Hello?\n")
    lines = sandbox("chat", f"scripted:{script}", "--system", "Be brief.", input="one\n\ntwo\n")
    assert (lines.exit_code, lines.stdout) == (0, "2: one\n4: two\n")
    question, answer = open_run(run_dir).memories(2)[0]
    agent = sandbox("chat", f"scripted:{script}", question, "--run", str(run_dir), "--agent", "2", "--json")
    said = json.loads(agent.stdout)
    assert said["recalled"] == [question, answer]
    assert answer in said["text"]


def test_chat_says_what_went_wrong(tmp_path: Path) -> None:
    script = tmp_path / "s.jsonl"
    script.write_text('{"error": "no line"}\n')
    asked = sandbox("chat", f"scripted:{script}", "Hello?")
    assert asked.exit_code == 1
    assert "no answer: no line" in asked.output
    assert isinstance(sandbox("chat", "nobody", "Hello?").exception, ModelNotFound)
    assert isinstance(sandbox("chat", "scripted:", "Hello?", "--scenario", "x").exception, SettingsError)


# -- models ------------------------------------------------------------------------------------------------------------


def test_the_bundled_models_are_listed() -> None:
    found = {one.uri: one for one in bundled()}
    assert list(found) == ["smollm2", "minilm"]
    assert [one.licence for one in found.values()] == ["apache-2.0"] * 2
    assert (found["smollm2"].context, found["minilm"].kind) == (8192, "embedder")


def test_folders_of_models_are_listed_with_what_they_came_from(tiny_lm_path: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base").symlink_to(tiny_lm_path)
    adapter = tmp_path / "models" / "taught"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "hf:smollm2"}')
    (adapter / "training.json").write_text('{"base": "smollm2", "trainer": "sft"}')
    (adapter / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "models" / "notes").mkdir()
    base, taught = folders(tmp_path / "models")
    assert (base.uri, base.context, base.source) == (f"hf:{tmp_path}/models/base", 2048, "folder")
    assert base.bytes == sum(f.stat().st_size for f in tiny_lm_path.glob("*.safetensors"))
    assert (taught.source, taught.licence, taught.note) == ("sft on smollm2", "mit", "no weights here")
    assert folders(tmp_path / "nowhere") == []


def test_servers_are_asked_and_only_those_named_get_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM says ``max_model_len``, llama.cpp ``meta``; a redirect is not followed."""
    data = [
        {"id": "a", "owned_by": "vllm", "max_model_len": 4096},
        {"id": "b", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192, "size": 1000}},
        {"no": "id"},
    ]
    listed = Answer(body=json.dumps({"object": "list", "data": data}).encode())
    monkeypatch.setenv("OPENAI_API_KEY", "k3y-of-mine")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with StubServer(lambda *_: listed) as named, StubServer(lambda *_: listed) as local:
        away = Answer(302, b"", {"location": f"{local.url}/models"})
        with StubServer(lambda *_: away) as moved:
            monkeypatch.setattr("sandbox.models.inventory.LOCAL_SERVERS", (local.url, "http://127.0.0.1:9/v1"))
            found = served([named.url, moved.url])
            assert [one.uri for one in found] == [f"openai:{m}@{s.url}" for s in (named, local) for m in "ab"]
            assert [(one.context, one.bytes) for one in found[:2]] == [(4096, None), (8192, 1000)]
            assert named.asked[0].headers["authorization"] == "Bearer k3y-of-mine"
            assert "authorization" not in local.asked[0].headers
            assert len(local.asked) == 1
    assert all(url.startswith("http://127.0.0.1:") for url in LOCAL_SERVERS)


def test_the_list_is_printed_and_is_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.models.inventory.LOCAL_SERVERS", ("http://127.0.0.1:9/v1",))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    shown = sandbox("models", "--under", str(tmp_path))
    assert shown.exit_code == 0
    assert "smollm2" in shown.stdout
    assert "apache-2.0" in shown.stdout
    found = json.loads(sandbox("models", "--under", str(tmp_path), "--json").stdout)
    assert {"uri", "kind", "bytes", "licence", "context", "source", "note"} == set(found[0])


def test_a_request_of_a_chat_is_its_own(scripted_lm: Callable[..., Any]) -> None:
    """The same words asked twice are two turns, with two seeds; begun anew, the talk is the same."""
    seeds = []
    for _ in range(2):
        lm = ScriptedModel(replies=lambda request: "yes")
        talk = ChatSession(lm, plain_role(), seed=3)
        talk.say("same")
        talk.say("same")
        history: list[Request] = lm.history
        seeds.append([request.seed for request in history])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 2


def test_an_agent_with_a_persona_is_told_of_it(tiny_world: Callable[..., Any]) -> None:
    from sandbox.scenario.personas import Personas
    from sandbox.scenario.scenario import Scenario

    people = Personas([{"name": f"Ann{n}", "trade": "baker"} for n in range(9)], "You are a {trade}.")
    scenario = Scenario("people", ["Is it so?"], personas=people)
    world = tiny_world(scenario)
    role = agent_role(world.run(1), 3, scenario=scenario)
    assert "You are a baker." in role.system
    assert role.name == world.members[3].name
