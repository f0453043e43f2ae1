"""The conformance kit: every built-in passes it."""

from __future__ import annotations

import shutil
from threading import Thread

import pytest
from batch_server import StandInBatchServer
from stub_server import StubServer

from sandbox import open_run, registry
from sandbox.models.catalog import load_model
from sandbox.models.scripted import ScriptedModel
from sandbox.society.reviewer import Reviewer
from sandbox.testing import (
    check_embedder,
    check_memory,
    check_model,
    check_plot,
    check_protocol,
    check_rater,
    check_scenario,
    check_trainer,
    tiny_lm,
    tiny_rows,
    tiny_run,
)

# Names of built-ins alone: what else is installed here is checked by whoever wrote it.
BUILT_IN = {kind: [p.name for p in registry.plugins(kind) if p.package == "social-sandbox"] for kind in registry.KINDS}
# The loss of answers drawn anew in each step says nothing of how well a trainer learns.
ONLINE = ("grpo", "rloo", "society_grpo")


# -- built-ins -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN["scenarios"])
def test_scenarios_keep_their_promises(name):
    check_scenario(name)


@pytest.mark.parametrize("name", BUILT_IN["protocols"])
def test_protocols_keep_their_promises(name):
    check_protocol(name)


# Answering anew at every step takes its time.
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in ONLINE else n for n in BUILT_IN["trainers"]]
)
@pytest.mark.needs_torch
def test_trainers_keep_their_promises(name):
    check_trainer(name, lowers=None if name in ONLINE else "loss")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run, and every request that was made in it."""
    model = ScriptedModel()
    path = tiny_run(tmp_path_factory.mktemp("recorded") / "run", model=model)
    return path, model.history


def heavy(names, *those):
    """The names, of which those need torch."""
    return [pytest.param(n, marks=pytest.mark.needs_torch) if n in those else n for n in names]


@pytest.mark.parametrize("name", heavy(BUILT_IN["models"], "hf", "vllm"))
def test_language_models_keep_their_promises(name, request, recorded, monkeypatch):
    if name == "openai":
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with StubServer() as server:
            # It says the same to everybody, and knows of no limit and no stop string.
            asked = [r for r in recorded[1] if not r.choices and r.max_tokens > 20][:4]
            check_model(f"openai:stub@{server.url}", requests=asked)
    elif name == "openai-batch":
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with StandInBatchServer() as server:
            Thread(target=server.serve_forever, daemon=True).start()
            asked = [r for r in recorded[1] if not r.choices and r.max_tokens > 20][:4]
            check_model(load_model(f"openai-batch:stub@{server.url}", poll_s=0.01), requests=asked)
            server.shutdown()
    elif name == "replay":
        check_model(f"replay:{recorded[0]}", requests=recorded[1])
    elif name == "scripted":
        check_model("scripted:", stops=False)
    elif name == "vllm":
        request.getfixturevalue("vllm_engines")
        check_model(f"vllm:{request.getfixturevalue('tiny_lm_path')}")
    else:
        assert name == "hf"
        check_model(f"hf:{request.getfixturevalue('tiny_lm_path')}")


@pytest.mark.parametrize("name", heavy([name for name in BUILT_IN["raters"] if name != "probe"], "reward"))
def test_raters_keep_their_promises(name, recorded, tmp_path):
    if name == "reward":
        check_rater(f"reward:{tiny_reward_model(tmp_path)}")
    elif name == "replay":
        run = open_run(recorded[0])
        told = [(it.question, it.draft) for it in run.interactions() if it.feedback and it.feedback[0].reviewer == 1]
        with_agents = tiny_world_of(tmp_path)
        check_rater(f"replay:{recorded[0]}", items=told, rater_of=[Reviewer(with_agents[1], with_agents[0])])
    else:
        check_rater(name)


def tiny_reward_model(folder):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    path = tiny_lm(folder / "lm")
    config = LlamaConfig.from_pretrained(path)
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(folder / "reward")
    AutoTokenizer.from_pretrained(path).save_pretrained(folder / "reward")
    return folder / "reward"


def tiny_world_of(folder):
    from sandbox import World

    world = World("value_alignment", model="scripted:", embedder="hashing", size=3, out=folder / "world")
    world.close()
    return world.members


@pytest.mark.parametrize("name", heavy(BUILT_IN["embedders"], "minilm"))
def test_embedders_keep_their_promises(name, recorded):
    if name == "replay":
        questions = list(dict.fromkeys(it.question for it in open_run(recorded[0]).interactions()))
        check_embedder(f"replay:{recorded[0]}", texts=questions)
    elif name == "openai":
        with StubServer() as server:
            check_embedder(f"openai:stub@{server.url}")
    else:
        check_embedder(name)


@pytest.mark.parametrize("name", BUILT_IN["memories"])
def test_memories_keep_their_promises(name):
    check_memory(name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_lm_path):
    """What pictures other than those of runs are drawn of: a training, an evaluation, a sweep, a comparison."""
    from sandbox import what_if
    from sandbox.sweep.sweep import run_sweep
    from sandbox.testing import tiny_run
    from trainers import load_trainer
    from trainers.comparison.summary import summary, write_comparison
    from trainers.evaluation.evaluation import Evaluation, write_evaluation
    from trainers.evolution.evolution import Evolution

    place = tmp_path_factory.mktemp("folders")
    settings = {"max_steps": 2, "progress": False, "device": "cpu"}
    load_trainer("sft", **settings).train(
        tiny_rows("demonstrations"), base=f"hf:{tiny_lm_path}", out=place / "training"
    )
    evaluation = Evaluation(["scripted:", ScriptedModel()], ["A?", "B?"], names=["a", "b"], embedder="hashing")
    write_evaluation(evaluation.run(), place / "comparison")
    shutil.copytree(place / "comparison", place / "scorecard")
    run_sweep("value_alignment", grid={"size": [2, 3]}, seeds=2, rounds=1, model="scripted:", embedder="hashing",
          out=place / "sweep")  # fmt: skip
    record = {"status": "done", "scores": {"heldout alignment": {"A?": 4.0, "B?": 5.0}}, "answer_tokens": 9.0}
    trained = {**record, "seconds": 1.0, "cpu_seconds": 1.0, "memory_mib": 100.0}
    header = {"schema": 1, "command": "", "base": "smollm2", "judge": "values", "seeds": [0]}
    done = summary(header, {"sft": {"tokens": 100}}, {"base": record, "sft-0": trained})
    (place / "trainers").mkdir()
    write_comparison(done, place / "trainers")
    small = {"size": 2, "embedder": "hashing", "rater": "values", "max_tokens": 6, "reason_tokens": 6}
    Evolution("value_alignment", out=place / "evolution", base=f"hf:{tiny_lm_path}", generations=1, rounds=1,
              n_questions=2, max_tokens=4, settings=small, training={"max_steps": 2, "progress": False}).run()  # fmt: skip
    what_if(f"{tiny_run(place / 'run', rounds=1, size=2)}@1", "A storm.", to=0, out=place / "what_if")
    return place


@pytest.mark.parametrize("name", BUILT_IN["plots"])
def test_pictures_keep_their_promises(name, folders):
    check_plot(name, folders / name if (folders / name).exists() else None)
