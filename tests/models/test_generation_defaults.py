"""Sampling is what a request asks for: a model's generation configuration changes neither it nor its adapters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sandbox.models.base import Request
from sandbox.models.catalog import load_model

pytestmark = pytest.mark.needs_torch

DEFAULTS = {"do_sample": True, "top_k": 1, "top_p": 0.1, "temperature": 0.1, "repetition_penalty": 5.0}


def said(folder: Path) -> list[str]:
    asked = {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 24, "temperature": 1.0}
    return [
        reply.text for reply in load_model(f"hf:{folder}").generate([Request(**asked, seed=seed) for seed in range(3)])
    ]


def test_an_adapter_samples_as_its_base_whatever_the_base_suggests(tiny_lm_path: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(tiny_lm_path, base)
    # A new adapter changes nothing: its second matrix is zero.
    model = AutoModelForCausalLM.from_pretrained(base)
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(adapter)
    config = base / "generation_config.json"
    plain = json.loads(config.read_text(encoding="utf-8")) if config.exists() else {}
    config.write_text(json.dumps({**plain, **DEFAULTS}), encoding="utf-8")
    replies = said(tiny_lm_path)
    assert len(set(replies)) == 3  # sampled, not the single most probable
    assert said(base) == replies
    assert said(adapter) == replies
