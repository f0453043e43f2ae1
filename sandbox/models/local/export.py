"""Writes a model, with its adapters merged, as a folder of full weights with a model card and a Modelfile."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound, RunExists, SettingsError
from sandbox.folders import draft_folder
from sandbox.models.catalog import local_weights
from sandbox.models.local.chat_template import carry_template
from sandbox.models.local.loading import adapter_chain, hub_name, load, locate
from sandbox.models.local.model_card import model_card
from sandbox.models.local.ollama import modelfile
from sandbox.models.local.quiet import quiet

DTYPES = ("auto", "float32", "bfloat16", "float16")
# Files that are copied from the folder of the exported model.
_KEPT = ("training.json", "train.yaml")


@dataclass(frozen=True)
class ExportedModel:
    """A folder of full weights.

    Attributes:
        path: The folder.
        name: Name to serve it as.
        dtype: Data type of its weights.
        merged: Adapters that were merged.
        vllm: Command that serves it with vLLM.
        ollama: Command that adds it to Ollama.
    """

    path: Path
    name: str
    dtype: str
    merged: int
    vllm: str
    ollama: str


def export_model(uri: str, out: Path, *, dtype: str = "auto", name: str | None = None) -> ExportedModel:
    """Merge a model's adapters in float32 and write full weights, tokenizer, model card and Modelfile.

    Args:
        uri: A model with local weights: ``smollm2``, ``hf:FOLDER`` or ``hf:HUB_NAME``.
        out: The folder, which must be empty or missing; created atomically.
        dtype: Data type of the written weights; ``auto`` for that of the base.
        name: Name to serve the model as; None for the name of the folder.

    Raises:
        ModelNotFound: the model does not exist or has no local weights.
        RunExists: the folder is not empty.
        SettingsError: the data type is unknown.
    """
    import torch

    if dtype not in DTYPES:
        raise SettingsError(f"dtype={dtype!r} is not one of {', '.join(DTYPES)}")
    rest = local_weights(uri)
    if rest is None:
        raise ModelNotFound(f"{uri!r} has no local weights to export; give smollm2, hf:FOLDER or hf:HUB_NAME")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise RunExists(f"{out} already exists and is not an empty folder; choose another --out")
    chain = adapter_chain(locate(rest))
    # Rounded once, at the end: sums in half precision would lose the adapters' contributions.
    loaded = load(rest, device="cpu", dtype="float32")
    written = _stored_dtype(chain[0]) if dtype == "auto" else dtype
    model, served = loaded.model.to(getattr(torch, written)), name or out.resolve().name
    model.config.use_cache = True
    about = _read(chain[-1] / "training.json")
    carry_template(loaded.tokenizer)
    card = model_card(served, str(out), about, base=hub_name(chain[0]), bundled=loaded.from_bundled, adapter=None)
    with draft_folder(out, alone=True) as parent:
        draft = parent / out.name
        draft.mkdir()
        with quiet():
            model.save_pretrained(draft)
            loaded.tokenizer.save_pretrained(draft)
        for file in _KEPT:
            if (chain[-1] / file).is_file():
                shutil.copyfile(chain[-1] / file, draft / file)
        (draft / "README.md").write_text(card, encoding="utf-8")
        (draft / "Modelfile").write_text(modelfile(loaded.tokenizer), encoding="utf-8")
        for path in draft.iterdir():
            path.chmod(0o644)
        if out.exists():
            out.rmdir()
        draft.rename(out)
    lines = card.splitlines()
    vllm, ollama = (next(line for line in lines if line.startswith(start)) for start in ("vllm serve", "ollama create"))
    return ExportedModel(out, served, written, len(chain) - 1, vllm, ollama)


def _stored_dtype(folder: Path) -> str:
    """The floating-point type that a base's weights are stored in."""
    config = _read(folder / "config.json")
    found = str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
    return found if found in DTYPES[1:] else "float32"


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
