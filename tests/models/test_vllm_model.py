"""Models in vLLM, on a stand-in of vLLM that runs the same weights: the same replies as from transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sandbox.errors import ModelNotFound, SettingsError, ToolNotFound
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model, trained_uri
from sandbox.models.local import vllm_engine
from sandbox.world import World

pytestmark = pytest.mark.needs_torch
ASKED = (Message("user", "How do I get on with the people next door?"),)


@pytest.fixture(scope="module")
def adapter(tiny_lm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 8 with random weights on the tiny model."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_lm_path), config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("with_adapter", [False, True])
def test_replies_are_those_of_transformers(
    vllm_engines: list[Any], tiny_lm_path: Path, adapter: Path, with_adapter: bool
) -> None:
    """Greedy texts, with a prefix and stops; probabilities of choices of one token and of several."""
    place = adapter if with_adapter else tiny_lm_path
    requests = [
        Request(ASKED, max_tokens=12, temperature=0),
        Request(ASKED, max_tokens=12, temperature=0, prefix="Rating:", stop=("e",)),
        Request(ASKED, choices=tuple("1234567"), prefix="Rating:"),
        Request(ASKED, choices=("cooperate", "defect")),
    ]
    ours = load_model(f"vllm:{place}").generate(requests)
    theirs = load_model(f"hf:{place}").generate(requests)
    for got, expected in zip(ours, theirs, strict=True):
        assert (got.text, got.finish_reason, got.error) == (expected.text, expected.finish_reason, None)
        assert got.prompt_tokens == expected.prompt_tokens
        assert got.choice_probs == pytest.approx(expected.choice_probs, abs=1e-4)
    assert [reply.cached_tokens for reply in ours] == [3, 3, 0, 0]
    assert len(vllm_engines) == 1


def test_models_on_one_base_share_an_engine_that_sleeps_during_a_training(
    vllm_engines: list[Any], tiny_lm_path: Path, adapter: Path
) -> None:
    base, trained = load_model(f"vllm:{tiny_lm_path}"), load_model(f"vllm:{adapter}")
    base.generate([Request(ASKED)])
    vllm_engine.sleep_engines()
    vllm_engine.sleep_engines()
    assert vllm_engines[0].asleep
    trained.generate([Request(ASKED)])
    assert vllm_engines[0].calls == ["generate 1", "sleep", "wake_up", "generate 1"]
    assert base.fingerprint != trained.fingerprint
    assert len(vllm_engines) == 1
    load_model(f"vllm:{tiny_lm_path}", dtype="float32")
    assert vllm_engines[0].asleep  # another engine needs its room
    assert len(vllm_engines) == 2


def test_a_request_that_fails_is_data_and_the_others_are_answered(vllm_engines: list[Any], tiny_lm_path: Path) -> None:
    lm: Any = load_model(f"vllm:{tiny_lm_path}", max_model_len=60)
    tokenizer = lm.tokenizer
    refused = tokenizer.decode([7])
    requests = [
        Request(ASKED, max_tokens=3),
        Request(ASKED, prefix=f"a{refused}"),
        Request((Message("user", "long " * 80),)),
        Request(ASKED, temperature=-1),
        Request(ASKED, max_tokens=500),
    ]
    first, faulty, long, cold, cut = lm.generate(requests)
    assert first.error is None
    assert "a prompt that cannot be run" in str(faulty.error)
    assert "context of the model is 60 tokens" in str(long.error)
    assert "temperature is -1" in str(cold.error)
    assert cut.prompt_tokens + cut.completion_tokens <= 60
    assert lm.generate([]) == []


def test_a_society_speaks_through_it(vllm_engines: list[Any], tiny_lm_path: Path, tmp_path: Path) -> None:
    world = World(
        "value_alignment", model=f"vllm:{tiny_lm_path}", rater="lm", size=2, embedder="hashing", out=tmp_path / "run"
    )
    run = world.run(1)
    world.close()
    assert len(run.interactions()) == 4
    assert run.manifest["models"]["agents"]["uri"] == f"vllm:{tiny_lm_path}"
    assert all(it.error is None for it in run.interactions())
    assert vllm_engines[0].calls


@pytest.mark.slow
def test_each_generation_of_an_evolution_is_an_adapter_on_the_same_engine(
    vllm_engines: list[Any], tiny_lm_path: Path, tmp_path: Path
) -> None:
    from trainers import Evolution

    evolution = Evolution(
        "prisoners", out=tmp_path / "evolution", base=f"vllm:{tiny_lm_path}", trainers=("rft",), reward="payoff", generations=2,
        rounds=1, settings={"size": 2, "embedder": "hashing", "observer": "scripted:"},
        training={"max_steps": 1, "batch_size": 2, "lora": True, "progress": False},
    )  # fmt: skip
    found = evolution.run()["generations"]
    assert [one["model"].partition(":")[0] for one in found] == ["vllm"] * 3
    assert len(vllm_engines) == 1
    trained = {one["model"] for one in found[1:]}
    assert vllm_engines[0].calls.count("sleep") == len(trained)


def test_what_vllm_cannot_run_is_refused(
    vllm_engines: list[Any], tiny_lm_path: Path, adapter: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="dtype='int8' is not one of"):
        load_model(f"vllm:{tiny_lm_path}", dtype="int8", gpu_memory_utilization=2)
    with pytest.raises(ModelNotFound, match=r"vLLM cannot run .*Free memory on device"):
        load_model(f"vllm:{tiny_lm_path}", gpu_memory_utilization=0.96)
    with pytest.raises(SettingsError, match="rank 8, and the engine is set to max_loras=4 and max_lora_rank=4"):
        load_model(f"vllm:{adapter}", max_lora_rank=4)
    with pytest.raises(SettingsError, match="max_loras=0"):
        load_model(f"vllm:{adapter}", max_loras=0)
    above = tmp_path / "above"
    shutil.copytree(adapter, above)
    config = (above / "adapter_config.json").read_text(encoding="utf-8")
    (above / "adapter_config.json").write_text(config.replace(str(tiny_lm_path), str(adapter)), encoding="utf-8")
    with pytest.raises(ModelNotFound, match=r"2 adapters on each other.*sandbox export-model hf:"):
        load_model(f"vllm:{above}")
    assert not vllm_engines


def test_without_the_package_the_command_that_installs_it_is_named(tiny_lm_path: Path) -> None:
    with pytest.raises(ToolNotFound, match=r"needs vllm, which is not installed. Install with: pip install vllm"):
        load_model(f"vllm:{tiny_lm_path}")


def test_trained_models_stay_in_vllm() -> None:
    assert trained_uri("vllm:smollm2", "out/model") == "vllm:out/model"
    assert trained_uri("smollm2", "out/model") == trained_uri("scripted:", "out/model") == "hf:out/model"
