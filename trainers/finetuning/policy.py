"""Policy, the model in training: loads it, adds adapters, and saves it.

Knows no rows or losses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound, SettingsError, TrainingDiverged
from sandbox.models.catalog import local_weights
from sandbox.models.local.bundled import BUNDLED, converted_folder
from sandbox.models.local.chat_template import end_of_turn
from sandbox.models.local.loading import (
    Loaded,
    adapter_chain,
    fit_tokenizer,
    hub_name,
    load,
    load_tokenizer,
    loading,
    locate,
)
from sandbox.models.local.model_card import CardFacts, model_card
from sandbox.models.local.model_fit import check_architecture
from sandbox.models.local.ollama import modelfile
from trainers.base import trainer_line
from trainers.finetuning.combined_adapter import combine_adapters, why_not_combined
from trainers.finetuning.lora import add_lora
from trainers.finetuning.sharding import first_nonfinite
from trainers.likelihood.answer_nll import add_answer_nll
from trainers.settings import TrainingSettings


@dataclass
class Policy:
    """A model in training.

    Attributes:
        model: A model of transformers, wrapped by PEFT if adapters are trained.
        tokenizer: Its tokenizer.
        settings: Settings of the training.
        chain: Folders of the base weights: the root base, then the adapters merged into it.
        notes: What is done otherwise than the files of the base say, one line each.
        pad_is_lent: Whether the tokenizer has a padding token for this training only, for lack of any that ends replies.
    """

    model: Any
    tokenizer: Any
    settings: TrainingSettings
    chain: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    pad_is_lent: bool = False

    @property
    def merge_reason(self) -> str | None:
        """Why adapters must be merged into full weights although ``merge`` is false; None if they need not."""
        if not self.settings.lora or self.settings.merge:
            return None
        return why_not_combined(self.chain[1:])

    def check_finite(self) -> None:
        """Check the weights after the last step, after which no loss is computed.

        Raises:
            TrainingDiverged: a trained weight is NaN or infinite.
        """
        name = first_nonfinite(self.model)
        if name is not None:
            raise TrainingDiverged(
                f"after the last step {name} contains NaN or infinite weights; "
                f"try --set learning_rate={self.settings.peak_learning_rate / 10:g}"
            )

    def save(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Write adapters, or full weights, and the tokenizer into a folder.

        Args:
            folder: Created if missing. With adapters, ``adapter_config.json`` names the root base by its absolute path or
                hub name, and the adapters under the new one are combined with it, so that PEFT and transformers load
                the same model.
            state: The gathered weights of a sharded model.
        """
        model = self.model
        # Trainers disable the cache, which generation needs.
        model.config.use_cache = True
        if not self.settings.lora:
            name_end(model, self.tokenizer)
            model.save_pretrained(folder, state_dict=state)
        elif self.settings.merge or self.merge_reason:
            model = model.merge_and_unload()
            name_end(model, self.tokenizer)
            model.save_pretrained(folder)
        else:
            model.peft_config["default"].base_model_name_or_path = root_name(self.chain[0])
            # "auto" would query the hub for the size of the base's vocabulary, which training never changes.
            model.save_pretrained(folder, state_dict=state, selected_adapters=["default"], save_embedding_layers=False)
            if self.chain[1:]:
                combine_adapters(folder, self.chain[1:])
        if self.pad_is_lent:
            # As a saved padding token it would end replies.
            self.tokenizer.pad_token = None
        self.tokenizer.save_pretrained(folder)

    def describe(self, folder: Path, target: Path, about: dict[str, Any]) -> None:
        """Write the model card, and for full weights a Modelfile, beside a saved model.

        Args:
            folder: Folder in which it was saved.
            target: Its final folder.
            about: Content of ``training.json``.
        """
        root, config = self.chain[0], folder / "adapter_config.json"
        is_adapter = config.is_file()
        card = model_card(
            target.name,
            str(target),
            about,
            base=hub_name(root),
            bundled=root.resolve() == converted_folder().resolve(),
            adapter=root_name(root) if is_adapter else None,
            rank=int(json.loads(config.read_text(encoding="utf-8"))["r"]) if is_adapter else 0,
            facts=CardFacts(method=trainer_line(str(about.get("trainer") or ""))),
        )
        (folder / "README.md").write_text(card, encoding="utf-8")
        if not is_adapter:
            (folder / "Modelfile").write_text(modelfile(self.tokenizer), encoding="utf-8")


def load_policy(base: str, settings: TrainingSettings, prepare: Callable[[Any], None] | None = None) -> Policy:
    """Load the base model of a training.

    A base that is itself an adapter is merged first, and a new adapter is added on top.

    Args:
        base: URI of a model with local weights: ``smollm2``, ``hf:FOLDER`` or ``hf:HUB_NAME``.
        settings: Settings of the adapters.
        prepare: Callback, receives the model before adapters are added.

    Raises:
        ModelNotFound: the base does not exist or has no local weights.
    """
    rest = local_weights(base)
    if rest is None:
        raise ModelNotFound(f"base {base!r} has no local weights to train; give smollm2, hf:FOLDER or hf:HUB_NAME")
    # Small steps would be lost in half-precision weights: only frozen weights may be loaded so.
    half = settings.dtype == "bfloat16" and settings.lora
    if settings.quantize != "none":
        found = _load_quantized(rest, settings)
    else:
        found = load(rest, device="cpu", dtype="bfloat16" if half else "float32")
    model, tokenizer = found.model, found.tokenizer
    lends = tokenizer.pad_token_id is None and tokenizer.eos_token is None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    add_answer_nll(model)
    if prepare is not None:
        prepare(model)
    model = add_lora(model, settings) if settings.lora else model.requires_grad_(True)
    return Policy(model, tokenizer, settings, found.folders, found.notes, lends)


def name_end(model: Any, tokenizer: Any) -> None:
    """Add the token that replies are trained to end with to those at which generation stops, in every library."""
    end = end_of_turn(tokenizer)
    if not end:
        return
    number, said = tokenizer.convert_tokens_to_ids(end), model.generation_config.eos_token_id
    listed = said if isinstance(said, list) else [] if said is None else [said]
    if number not in listed:
        model.generation_config.eos_token_id = [*listed, number] if listed else number


def _load_quantized(rest: str, settings: TrainingSettings) -> Loaded:
    """Load a base in 4 or 8 bits, and its tokenizer (QLoRA, arXiv:2305.14314)."""
    words = f"quantize={settings.quantize!r}"
    if find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"{words} needs the package bitsandbytes, which is not installed: pip install bitsandbytes. "
            "Without it, use quantize=none; dtype=bfloat16 halves the memory of the base's weights"
        )
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    folder, *adapters = adapter_chain(locate(rest))
    if adapters:
        raise SettingsError(
            f"{words} cannot start from the adapter {adapters[-1]}, which cannot be merged into quantised weights. Train the "
            "adapter again with merge=true, or start from its base"
        )
    with loading(rest):
        tokenizer = load_tokenizer((folder,))
    how = BitsAndBytesConfig(
        load_in_4bit=settings.quantize == "4bit",
        load_in_8bit=settings.quantize == "8bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32,
    )
    check_architecture(folder)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=how)
    except (ImportError, RuntimeError, ValueError) as error:
        raise SettingsError(
            f"{words} is not supported on this platform: {str(error).strip().splitlines()[0]}"
        ) from error
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=settings.gradient_checkpointing)
    with loading(rest):
        notes = fit_tokenizer(tokenizer, model, (folder,))
    return Loaded(model, tokenizer, (folder,), folder.resolve() == converted_folder().resolve(), notes)


def root_name(folder: Path) -> str:
    """Name of a base that is valid in any working directory: its hub name, or its absolute path."""
    return hub_name(folder) or str(folder.resolve())


def movable_name(folder: Path, out: Path) -> str:
    """Name of a base that remains valid if both are moved together, or on another machine.

    Args:
        folder: Folder of the base.
        out: Folder of the trained model.

    Returns:
        ``smollm2``, a hub name, or the path relative to ``out``.
    """
    if folder.resolve() == converted_folder().resolve():
        return BUNDLED
    name = root_name(folder)
    return os.path.relpath(name, out.resolve()) if Path(name).is_absolute() else name
