"""The README.md of a model folder: what the model is, how it was made, and how to load and serve it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

# The licence of the bundled model also applies to models trained from it.
_BUNDLED = ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")


def model_card(
    name: str,
    path: str,
    about: Mapping[str, Any],
    *,
    base: str | None,
    bundled: bool,
    adapter: str | None,
    rank: int = 0,
) -> str:
    """Return the text of a model card, with the metadata that model hubs read.

    Args:
        name: Name of the model, also for serving.
        path: Its folder.
        about: Content of ``training.json``; empty for a model that was not trained here.
        base: Name of the base on the hub, if it has one.
        bundled: Whether the base is the bundled model.
        adapter: For an adapter, name or path of its base; None for full weights.
        rank: Rank of the adapter.
    """
    base, licence = _BUNDLED if bundled else (base, None)
    trained = str(about.get("trainer") or "")
    meta = {
        "base_model": base,
        "license": licence,
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
    }
    tags = ["social-sandbox", *([trained] if trained else [])]
    lines = ["---", *(f"{key}: {value}" for key, value in meta.items() if value), "tags:"]
    lines += [*(f"- {tag}" for tag in tags), "---", "", f"# {name}", ""]
    what = f"A LoRA adapter on `{adapter}`" if adapter else "Full weights"
    lines += [f"{what}{f', trained with `{trained}`' if trained else ''} by Social Sandbox.", ""]
    return "\n".join([*lines, *_training(about), *_use(name, path, adapter, rank), *_limits()]) + "\n"


def _training(about: Mapping[str, Any]) -> list[str]:
    """How the model was made."""
    if not about.get("trainer"):
        return []
    rows = {key: value for key, value in (about.get("rows") or {}).items() if isinstance(value, int | float)}
    settings = about.get("settings") or {}
    shown = ("epochs", "max_steps", "learning_rate", "batch_size", "lora", "lora_r", "dtype", "seed", "beta", "loss")
    table = [
        ("trainer", about["trainer"]),
        ("base", about.get("base")),
        *((f"rows: {key}", value) for key, value in rows.items()),
        *((key, settings[key]) for key in shown if settings.get(key) is not None),
        *((key, f"{value:.4g}") for key, value in (about.get("metrics") or {}).items()),
        *((f"version of {key}", value) for key, value in (about.get("versions") or {}).items()),
    ]
    lines = [f"| {key} | {str(value).replace('|', chr(92) + '|')} |" for key, value in table]
    note = "Numbers are means over the last epoch. All settings: `train.yaml`; every step: `training.json`."
    return ["## Training", "", "| | |", "|---|---|", *lines, "", note, ""]


def _use(name: str, path: str, adapter: str | None, rank: int) -> list[str]:
    """The lines that load and serve the model."""
    folder = shlex.quote(path)
    kind, package = ("AutoPeftModelForCausalLM", "peft") if adapter else ("AutoModelForCausalLM", "transformers")
    load = [
        f"from {package} import {kind}",
        "from transformers import AutoTokenizer",
        "",
        f"model = {kind}.from_pretrained({path!r})",
        f"tokenizer = AutoTokenizer.from_pretrained({path!r})",
    ]
    # vLLM supports rank 16 by default.
    most = f" --max-lora-rank {_round_up(rank)}" if rank > 16 else ""
    vllm = (
        f"vllm serve {shlex.quote(adapter)} --enable-lora --lora-modules {shlex.quote(name)}={folder}{most}"
        if adapter
        else f"vllm serve {folder} --served-model-name {shlex.quote(name)}"
    )
    ollama = (
        [f"sandbox export-model hf:{folder} --out {shlex.quote(path + '-merged')}   # Ollama serves merged weights"]
        if adapter
        else [
            f"ollama create {shlex.quote(name)} -f {shlex.quote(path + '/Modelfile')}",
            f"ollama run {shlex.quote(name)}",
        ]
    )
    return [
        "## Use", "", "```python", *load, "```", "", "```sh", vllm,
        f"sandbox chat openai:{name}@http://localhost:8000/v1    # or as agents: sandbox run ... --model openai:...",
        *ollama, "```", "",
    ]  # fmt: skip


def _round_up(rank: int) -> int:
    """The next rank that vLLM accepts."""
    return next((most for most in (32, 64, 128, 256, 320, 512) if most >= rank), rank)


def _limits() -> list[str]:
    return [
        "## Limitations", "",
        "The model has the limits of its base, and was trained on feedback of simulated agents or on the files named in "
        "`train.yaml`. It has not been evaluated for any particular use.",
    ]  # fmt: skip
