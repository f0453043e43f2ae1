"""The README.md of a model folder: what the model is, how it was made, and how to load and serve it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The licence of the bundled model also applies to models trained from it.
BUNDLED_ON_HUB, _BUNDLED_LICENCE = "HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0"

# A card without this line is its owner's text, and is pushed as it is.
GENERATED = "<!-- Written by Social Sandbox. Remove this line to keep your own text when the model is pushed. -->"


@dataclass(frozen=True)
class CardFacts:
    """What a card says beyond the files of a model.

    Attributes:
        method: What the trainer does, in a line.
        sources: Where the rows come from: lines of Markdown.
        datasets: Names of datasets of a hub among them.
        repeat: Command that repeats the training.
        evaluation: Results as Markdown, without headings; empty if there are none.
        weaknesses: What the model is not good at, one sentence each.
        licence: Identifier of its licence; None for that of the bundled base, or unknown.
        scores: Whether it is a reward model, which rates answers and writes none.
        on_hub: Whether its path is a name on a hub.
    """

    method: str | None = None
    sources: Sequence[str] = ()
    datasets: Sequence[str] = ()
    repeat: str | None = None
    evaluation: str = ""
    weaknesses: Sequence[str] = ()
    licence: str | None = None
    scores: bool = False
    on_hub: bool = False


def model_card(
    name: str,
    path: str,
    about: Mapping[str, Any],
    *,
    base: str | None,
    bundled: bool,
    adapter: str | None,
    rank: int = 0,
    facts: CardFacts = CardFacts(),
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
        facts: More facts.
    """
    trained = str(about.get("trainer") or "")
    meta = {
        "base_model": BUNDLED_ON_HUB if bundled else base,
        "license": facts.licence or (_BUNDLED_LICENCE if bundled else None),
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-classification" if facts.scores else "text-generation",
        "datasets": list(facts.datasets),
        "tags": ["social-sandbox", *([trained] if trained else []), *(["reward-model"] if facts.scores else [])],
    }
    what = f"A LoRA adapter on `{adapter}`" if adapter else "Full weights"
    what += " of a reward model, which gives an answer one number" if facts.scores else ""
    lines = [*front_matter(meta), "", f"# {name}", ""]
    made = f", trained with `{trained}` by Social Sandbox" if trained else ""
    lines += [f"{what}{made}.", ""]
    lines += _training(about, facts) + _evaluation(facts)
    lines += _use_scores(path) if facts.scores else _use(name, path, adapter, rank, on_hub=facts.on_hub)
    return "\n".join([*lines, *_limits(facts), "", GENERATED]) + "\n"


def front_matter(meta: Mapping[str, Any]) -> list[str]:
    """Metadata that a hub reads, as lines of YAML; without what is unknown."""
    import yaml

    known = {key: value for key, value in meta.items() if value}
    text = yaml.safe_dump(known, sort_keys=False, allow_unicode=True, width=1000)
    return ["---", *text.rstrip().splitlines(), "---"]


def _training(about: Mapping[str, Any], facts: CardFacts) -> list[str]:
    """How the model was made."""
    if not about.get("trainer"):
        return []
    rows = {key: value for key, value in (about.get("rows") or {}).items() if isinstance(value, int | float)}
    parts = [f"{n} {part}" for part, n in ((about.get("rows") or {}).get("parts") or {}).items()]
    settings = about.get("settings") or {}
    shown = ("epochs", "max_steps", "learning_rate", "batch_size", "lora", "lora_r", "dtype", "seed", "beta", "loss")
    found = [
        ("trainer", about["trainer"]),
        ("base", about.get("base")),
        *((f"rows: {key}", value) for key, value in rows.items()),
        *([("rows: parts", ", ".join(parts))] if parts else []),
        *((key, settings[key]) for key in shown if settings.get(key) is not None),
        *((key, f"{value:.4g}") for key, value in (about.get("metrics") or {}).items() if value is not None),
        *((f"version of {key}", value) for key, value in (about.get("versions") or {}).items()),
    ]
    note = "Numbers are means over the last epoch. All settings: `train.yaml`; every step: `training.json`."
    notes = [f"* {one}" for one in about.get("notes") or ()]
    return [
        "## Training", "",
        *([facts.method, ""] if facts.method else []),
        *key_table(found), "", note, "",
        *(["Rows come from:", "", *facts.sources, ""] if facts.sources else []),
        *([*notes, ""] if notes else []),
        *(["Repeat it:", "", "```sh", facts.repeat, "```", ""] if facts.repeat else []),
    ]  # fmt: skip


def key_table(found: Sequence[tuple[str, Any]]) -> list[str]:
    """Keys and values as a Markdown table."""
    return ["| | |", "|---|---|", *(f"| {key} | {str(value).replace('|', chr(92) + '|')} |" for key, value in found)]


def _evaluation(facts: CardFacts) -> list[str]:
    return ["## Evaluation", "", facts.evaluation.strip(), ""] if facts.evaluation else []


def _use_scores(path: str) -> list[str]:
    """The lines that load a reward model, and rate with it."""
    return [
        "## Use", "", "```python", "from transformers import AutoModelForSequenceClassification, AutoTokenizer", "",
        f"model = AutoModelForSequenceClassification.from_pretrained({path!r})",
        f"tokenizer = AutoTokenizer.from_pretrained({path!r})", "```", "", "```sh",
        f"sandbox run value_alignment --rater reward:{shlex.quote(path)}",
        f"sandbox evaluate smollm2 --judge reward:{shlex.quote(path)}", "```", "",
    ]  # fmt: skip


def _use(name: str, path: str, adapter: str | None, rank: int, *, on_hub: bool) -> list[str]:
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
    merged = f"{name if on_hub else path}-merged"
    local = name if on_hub else path
    ollama = (
        [f"sandbox export-model hf:{folder} --out {shlex.quote(merged)}   # Ollama serves merged weights"]
        if adapter
        else [
            *([f"hf download {folder} --local-dir {shlex.quote(local)}"] if on_hub else []),
            f"ollama create {shlex.quote(name)} -f {shlex.quote(local + '/Modelfile')}",
            f"ollama run {shlex.quote(name)}",
        ]
    )
    return [
        "## Use", "", "```python", *load, "```", "", "```sh", vllm,
        f"sandbox chat openai:{name}@http://localhost:8000/v1    # or as agents: sandbox run ... --model openai:...",
        *ollama, *([f"sandbox run value_alignment --model hf:{folder}"] if on_hub else []), "```", "",
    ]  # fmt: skip


def _round_up(rank: int) -> int:
    """The next rank that vLLM accepts."""
    return next((most for most in (32, 64, 128, 256, 320, 512) if most >= rank), rank)


def _limits(facts: CardFacts) -> list[str]:
    evaluated = "It has been evaluated as above only, and for no particular use." if facts.evaluation else (
        "It has not been evaluated for any particular use."
    )  # fmt: skip
    return [
        "## Limitations", "",
        "The model has the limits of its base, and was trained on feedback of simulated agents or on the files named in "
        f"`train.yaml`. {evaluated}",
        *(["", *(f"* {one}" for one in facts.weaknesses)] if facts.weaknesses else []),
    ]  # fmt: skip
