"""`sandbox push` over HTTP to a stand-in of the hub, which is no hub: what it received, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hub_server import TOKEN, HubServer

from sandbox.testing import tiny_lm, tiny_rows, tiny_run
from trainers import load_trainer
from trainers.sharing.sources import FIELDS

pytestmark = pytest.mark.needs_torch
FAST = {"learning_rate": 5e-3, "max_steps": 2, "progress": False, "device": "cpu", "measure_kl": False}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, cache_for_tests: Path) -> Path:
    """A run, rows of it, a base, and an adapter and full weights that were trained on rows."""
    from typer.testing import CliRunner

    from sandbox.cli.main import app

    root, run = tmp_path_factory.mktemp("project"), CliRunner().invoke
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("SANDBOX_CACHE", str(cache_for_tests))
        tiny_lm("base")
        tiny_run("runs/first")
        rows = ["--kind", "preferences", "--split", "0.3", "--out", "pairs.jsonl"]
        assert run(app, ["dataset", str(root / "runs/first"), *rows]).exit_code == 0
        settings = [word for name, value in FAST.items() for word in ("--set", f"{name}={value}")]
        words = ["--trainer", "dpo", "--base", f"hf:{root}/base", "--out", "models/first", *settings]
        assert run(app, ["train", str(root / "pairs.jsonl"), *words]).exit_code == 0
        load_trainer("sft", **FAST, lora=False).train(tiny_rows("demonstrations"), base="hf:base", out="models/full")
    return root


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path) -> Iterator[HubServer]:
    from huggingface_hub import constants

    monkeypatch.chdir(project)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("trainers.sharing.hub.WAITS_S", (0.0, 0.0))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


Push = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def push(hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Push:
    """Exit code, output and error of a command."""
    from sandbox.cli.main import main

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["sandbox", "push", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return call


def head(card: str | bytes) -> dict:
    text = card if isinstance(card, str) else card.decode()
    return dict(yaml.safe_load(text.split("---\n")[1]))


def files_of(hub: HubServer, kind: str, repo: str, branch: str = "main") -> dict[str, bytes]:
    return hub.repos[kind, repo].branches[branch]


@pytest.mark.slow
def test_what_the_hub_received_loads(push: Push, hub: HubServer, project: Path, tmp_path: Path) -> None:
    """An adapter, its base and rows, in processes that know the stand-in by HF_ENDPOINT only."""
    assert push("base", "ada/base")[0] == push("pairs.jsonl", "ada/pairs")[0] == push("runs/first", "ada/run")[0] == 0
    told = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    environment = {**os.environ, **told, "HF_HOME": str(tmp_path / "home")}
    words = ["-m", "sandbox", "push", "models/first", "ada/first", "--base", "ada/base", "--json"]
    ended = subprocess.run([sys.executable, *words], env=environment, cwd=project, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert said["url"] == f"{hub.url}/ada/first"
    assert said["pushed"] is True
    assert {name: len(content) for name, content in files_of(hub, "model", "ada/first").items()} == said["files"]
    assert [len(repo.commits) for repo in hub.repos.values()] == [1, 1, 1, 1]

    code = (
        "import torch\nfrom datasets import load_dataset\nfrom peft import AutoPeftModelForCausalLM\n"
        "from sandbox.models.local.loading import load\n"
        "rows, ids = load_dataset('ada/pairs'), torch.arange(5, 40)[None]\n"
        "tables = [len(load_dataset('ada/run', name)['train']) for name in ('interactions', 'agents', 'rounds')]\n"
        f"ours = load({str(project / 'models/first')!r}, device='cpu', dtype='float32').model(ids).logits\n"
        "theirs = load('ada/first', device='cpu', dtype='float32').model(ids).logits\n"
        "peft = AutoPeftModelForCausalLM.from_pretrained('ada/first').eval()(ids).logits\n"
        "print({s: len(rows[s]) for s in rows}, tables, torch.equal(ours, theirs), torch.allclose(ours, peft, atol=1e-4))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    lines = [len((project / f"pairs{side}.jsonl").read_text("utf-8").splitlines()) for side in ("", ".heldout")]
    assert ended.stdout.strip() == f"{{'train': {lines[0]}, 'test': {lines[1]}}} [18, 9, 2] True True", ended.stderr


def test_the_received_adapter_says_what_it_is_and_not_where_it_was(push: Push, hub: HubServer, project: Path) -> None:
    code, said, _ = push("models/first", "ada/first", "--base", "ada/base", "--license", "mit", "--message", "One")
    assert code == 0
    assert "made relative or left out: adapter_config.json, train.yaml, training.json" in said
    received = files_of(hub, "model", "ada/first")
    assert hub.repos["model", "ada/first"].commits == [("main", "One", sorted(received))]
    assert set(received) == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json",
        "tokenizer_config.json", "train.yaml", "training.json",
    }  # fmt: skip
    for name, content in received.items():
        assert str(project).encode() not in content, name
    assert received["adapter_model.safetensors"] == (project / "models/first/adapter_model.safetensors").read_bytes()
    assert json.loads(received["adapter_config.json"])["base_model_name_or_path"] == "ada/base"
    training = json.loads(received["training.json"])
    assert (training["base"], training["base_folder"]) == ("hf:base", None)
    assert yaml.safe_load(received["train.yaml"])["rows"] == ["pairs.jsonl"]
    assert head(received["README.md"]) == {
        "base_model": "ada/base", "license": "mit", "library_name": "peft", "pipeline_tag": "text-generation",
        "tags": ["social-sandbox", "dpo"],
    }  # fmt: skip
    card = received["README.md"].decode()
    for line in (
        "A LoRA adapter on `ada/base`, trained with `dpo` by Social Sandbox.",
        "Direct preference optimisation on pairs of a better and a worse answer (arXiv:2305.18290).",
        "sandbox train --config train.yaml --out models/again",
        "model = AutoPeftModelForCausalLM.from_pretrained('ada/first')",
    ):
        assert line in card.splitlines(), line
    assert "* run `runs/first`: scenario `value_alignment`, protocol `back_scatter`, 9 agents, 2 rounds" in card
    assert "on other subjects expect the answers of its base" in card


def test_an_evaluation_of_these_weights_is_in_the_card(
    push: Push, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from sandbox.cli.main import app

    words = ["evaluate", "hf:models/full", "--pairs", "pairs.jsonl", "--out", "evaluations/evaluation-1"]
    assert CliRunner().invoke(app, words).exit_code == 0
    [row] = [
        line for line in (project / words[-1] / "evaluation.md").read_text("utf-8").splitlines() if "hf:models" in line
    ]
    said = push("models/full", "ada/full", "--dry-run")[1]
    assert "note: evaluation in the card: evaluation-1" in said
    assert row in said.splitlines()
    assert "It has been evaluated as above only" in said
    os.utime("evaluations/evaluation-1/evaluation.json", (1, 1))
    said = push("models/full", "ada/full", "--dry-run")[1]
    assert "evaluation-1: evaluated other weights of this folder; left out of the card" in said
    assert row not in said
    shutil.rmtree("evaluations")


def test_rows_say_what_they_were_made_of(push: Push, hub: HubServer, project: Path) -> None:
    assert push("pairs.jsonl", "ada/pairs", "--revision", "v2")[0] == 0
    assert files_of(hub, "dataset", "ada/pairs") == {}
    received = files_of(hub, "dataset", "ada/pairs", "v2")
    assert received["data/train.jsonl"] == (project / "pairs.jsonl").read_bytes()
    assert received["data/test.jsonl"] == (project / "pairs.heldout.jsonl").read_bytes()
    meta, card = head(received["README.md"]), received["README.md"].decode()
    assert meta["license"] == "unknown"
    assert meta["tags"] == ["social-sandbox", "synthetic", "trl", "preferences", "value_alignment"]
    assert meta["configs"][0]["data_files"][1] == {"split": "test", "path": "data/test.jsonl"}
    kept = json.loads((project / "pairs.jsonl.about.json").read_text("utf-8"))
    assert {*kept, *(f"sources.{name}" for name in kept["sources"][0])} == set(FIELDS) | {"sources"}
    assert all(f"* {n:,} {reason}" in card for reason, n in kept["statistics"]["left_out"].items())
    assert (
        "agents speak with `scripted:`; answers are rated on alignment, engagement (1 to 7) by neighbours (`lm`)"
        in card
    )
    assert "sandbox train ada/pairs --trainer dpo" in card
    assert str(project) not in card


def test_rows_without_facts_beside_them(push: Push, hub: HubServer, tmp_path: Path) -> None:
    tiny_rows("ranked").to_parquet(str(tmp_path / "mine.parquet"))
    code, said, _ = push(tmp_path / "mine.parquet", "ada/mine", "--license", "cc0-1.0")
    assert code == 0
    assert "the card does not say what it was made of" in said
    assert set(files_of(hub, "dataset", "ada/mine")) == {"README.md", "data/train.parquet"}
    card = files_of(hub, "dataset", "ada/mine")["README.md"].decode()
    assert head(card)["license"] == "cc0-1.0"
    assert "It is not recorded what the rows were made of." in card


def test_a_run_leaves_its_calls_and_this_machine_behind(push: Push, hub: HubServer, project: Path) -> None:
    import io
    import sqlite3

    import pyarrow.parquet as pq

    shutil.copytree("runs/first", "runs/second")
    db = sqlite3.connect("runs/second/run.sqlite")
    db.execute("UPDATE interactions SET error=? WHERE round=1 AND agent=0", (f"CallFailed: {project}/base is missing",))
    db.commit()
    db.close()
    manifest = json.loads(Path("runs/second/manifest.json").read_text("utf-8"))
    manifest["command"] = f"sandbox run value_alignment --model hf:{project}/base --out {project}/runs/second"
    Path("runs/second/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    code, said, _ = push("runs/second", "ada/run")
    assert code == 0
    assert "left out: the log of model calls" in said
    received = files_of(hub, "dataset", "ada/run")
    assert set(received) == {
        "README.md", "manifest.json", "data/interactions.parquet", "data/agents.parquet", "data/rounds.parquet",
    }  # fmt: skip
    table = pq.read_table(io.BytesIO(received["data/interactions.parquet"]))
    assert [one for one in table["error"].to_pylist() if one] == ["CallFailed: base is missing"]
    assert str(project).encode() not in received["manifest.json"] + received["README.md"]
    command = "sandbox run value_alignment --model hf:base --out runs/second"
    assert json.loads(received["manifest.json"])["command"] == command
    assert head(received["README.md"])["configs"][0]["default"] is True


def test_a_dry_run_asks_nobody(push: Push, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    code, said, _ = push("models/full", "ada/full", "--dry-run")
    assert (code, hub.asked) == (0, [])
    assert "  model.safetensors\n" in said
    assert "\n# full\n" in said
    assert said.endswith("Nothing was pushed: --dry-run\n")


def test_pushing_again_adds_a_commit_of_what_changed(push: Push, hub: HubServer) -> None:
    assert push("pairs.jsonl", "ada/pairs")[0] == push("pairs.jsonl", "ada/pairs")[0] == 0
    assert push("pairs.jsonl", "ada/pairs", "--license", "mit")[0] == 0
    assert [paths for _, _, paths in hub.repos["dataset", "ada/pairs"].commits] == [
        ["README.md", "data/test.jsonl", "data/train.jsonl"],
        ["README.md"],
    ]


def test_ones_own_card_is_kept(push: Push, hub: HubServer, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    shutil.copytree("models/full", folder)
    (folder / "README.md").write_text("---\ntags:\n- mine\n---\n\n# My words\n", encoding="utf-8")
    (folder / "training_args.bin").write_bytes(b"pickle")
    code, said, _ = push(folder, "ada/full")
    assert code == 0
    assert "left out: training_args.bin" in said
    assert "your own text" in said
    assert files_of(hub, "model", "ada/full")["README.md"].endswith(b"# My words\n")
    assert "set `license: mit` at its head" in push(folder, "ada/full", "--license", "mit")[2]


def test_an_adapter_on_the_bundled_model_names_it_as_the_hub_does(push: Push, hub: HubServer, tmp_path: Path) -> None:
    """A tiny model stands in the place of the bundled one."""
    from sandbox.models.local.bundled import converted_folder

    shutil.copytree("base", converted_folder())
    folder = tmp_path / "first"
    shutil.copytree("models/first", folder)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    config["base_model_name_or_path"] = str(converted_folder())
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    try:
        assert push(folder, "ada/first")[0] == 0
    finally:
        shutil.rmtree(converted_folder())
    received = files_of(hub, "model", "ada/first")
    name = "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert json.loads(received["adapter_config.json"])["base_model_name_or_path"] == name
    meta, card = head(received["README.md"]), received["README.md"].decode()
    assert (meta["base_model"], meta["license"]) == (name, "apache-2.0")
    assert "quantised weights that come with Social Sandbox (4 bits)" in card


def test_a_reward_model_is_no_generator(push: Push, tmp_path: Path) -> None:
    folder = tmp_path / "reward"
    shutil.copytree("models/full", folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**config, "architectures": ["LlamaForSequenceClassification"]}), encoding="utf-8"
    )
    card = push(folder, "ada/reward", "--dry-run", "--license", "mit")[1].partition("\n\n")[2]
    assert head(card)["pipeline_tag"] == "text-classification"
    assert "sandbox evaluate smollm2 --judge reward:ada/reward" in card.splitlines()


def test_a_hub_that_fails_is_asked_again(push: Push, hub: HubServer) -> None:
    hub.faults = {"/api/repos/create": [500], "/commit/main": [503, 500], "/api/datasets/ada/pairs$": [502]}
    assert push("pairs.jsonl", "ada/pairs")[0] == 0
    assert len(hub.repos["dataset", "ada/pairs"].commits) == 1
    hub.faults = {"/commit/main": [500] * 3}
    code, _, error = push("pairs.jsonl", "ada/more")
    assert code == 2
    assert "the hub failed: push again later (500)" in error
    assert error.endswith("Nothing was committed: the new repository ada/more is empty; push again to fill it\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pairs.jsonl", "pairs"], "'pairs' is no name on a hub: expected OWNER/NAME"),
        (["pairs.jsonl", "a/b/c"], "'a/b/c' is no name on a hub"),
        (["pairs.jsonl", "bob/pairs"], "the token may not write to bob: use one with write access"),
        (["nowhere", "ada/x"], "nowhere does not exist; expected a trained model's folder"),
        (["models", "ada/x"], "models is a folder without a model (config.json, adapter_config.json) or a run"),
        (["models/first", "ada/x"], "others could not load it. Push full weights: sandbox export-model hf:models/first --out"),
        (["pairs.jsonl.about.json", "ada/x"], "is no file of rows in .jsonl or .parquet; convert it: sandbox dataset"),
        (["pairs.jsonl", "ada/x", "--license", "no-such-licence"], 'Invalid metadata in README.md. - "license" is not valid'),
        (["pairs.jsonl", "ada/x", "--base", "ada/base"], "--base names the base of a model"),
    ],
)  # fmt: skip
def test_what_is_refused_ends_with_one_clear_line(push: Push, words: list[str], message: str) -> None:
    code, said, error = push(*words)
    assert (code, said) == (2, "")
    assert message in error
    assert error.startswith("PushError: ")
    assert error.count("\n") == 1


def test_tokens(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody_at_all")
    code, _, error = push("pairs.jsonl", "ada/pairs")
    assert code == 2
    assert "the token is not valid: run `hf auth login`" in error
    assert "hf_of_nobody" not in error
    monkeypatch.delenv("HF_TOKEN")
    code, _, error = push("pairs.jsonl", "ada/pairs")
    assert (code, error[:58]) == (2, "PushError: no token of the hub is set: run `hf auth login`")


def test_repositories_that_are_something_else(push: Push, hub: HubServer) -> None:
    assert push("models/full", "ada/one")[0] == 0
    assert (
        "ada/one is a model on the hub, and this is a dataset: choose another name" in push("pairs.jsonl", "ada/one")[2]
    )
    assert "ada/one exists and is public" in push("models/full", "ada/one", "--private")[2]
    assert push("models/full", "ada/two", "--private")[0] == 0
    assert hub.repos["model", "ada/two"].private
    assert len(hub.repos) == 2


def test_a_hub_that_cannot_be_reached(push: Push, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, _, error = push("pairs.jsonl", "ada/pairs")
    assert code == 2
    assert "http://127.0.0.1:9 cannot be reached" in error
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (
        "HF_HUB_OFFLINE is set, so that the hub is not asked: unset it to push" in push("pairs.jsonl", "ada/pairs")[2]
    )


def test_paths_in_rows_are_refused(push: Push, hub: HubServer, project: Path, tmp_path: Path) -> None:
    row = {"prompt": "Where?", "completion": f"See {project}/notes.txt"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    code, _, error = push(tmp_path / "rows.jsonl", "ada/rows")
    assert code == 2
    assert f"data/train.jsonl, line 1, holds '{project}/notes.txt', a path of this machine" in error
    assert hub.asked == []


def test_paths_are_shortened_and_all_else_is_kept() -> None:
    from trainers.sharing.local_paths import without_local_paths

    here = Path.cwd()
    for text, expected in {
        f"hf:{here}/models/first": "hf:models/first",
        "hf:/srv/data/models/first": "hf:first",
        "the tokenizer of /srv/x/base names no end": "the tokenizer of base names no end",
        "~/runs/a and C:\\Users\\me\\b.json": "a and b.json",
        "openai:x@http://me:secret@host:8000/v1/chat": "openai:x@http://host:8000/v1/chat",
        "</s> and/or 1/2, models/first ../base / a": "</s> and/or 1/2, models/first ../base / a",
    }.items():
        assert without_local_paths(text) == expected
