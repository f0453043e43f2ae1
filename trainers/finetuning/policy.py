"""The model that learns: loading it, putting adapters on it, and saving it so that it can be spoken to.

Knows nothing of rows or losses.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sandbox.errors import ModelNotFound, SettingsError, TrainingDiverged
from sandbox.models.catalog import resolve
from sandbox.models.local.loading import adapter_chain, load, locate
from trainers.settings import TrainingSettings


@dataclass
class Policy:
    """A model in training.

    Attributes:
        model: Of transformers, wrapped by PEFT where adapters learn.
        tokenizer: Its tokenizer.
        settings: How it learns.
        base: What an adapter's folder calls its base model.
    """

    model: Any
    tokenizer: Any
    settings: TrainingSettings
    base: str

    def check_finite(self) -> None:
        """Refuse weights that a last step has broken, after which no loss was computed.

        Raises:
            TrainingDiverged: a weight that learns is NaN or infinite.
        """
        for name, weights in self.model.named_parameters():
            if weights.requires_grad and not bool(weights.isfinite().all()):
                raise TrainingDiverged(
                    f"after the last step {name} holds NaN or infinite weights; "
                    f"try --set learning_rate={self.settings.peak_learning_rate / 10:g}"
                )

    def save(self, folder: Path, state: dict[str, Any] | None = None) -> None:
        """Write adapters, or full weights, and the tokenizer into a folder.

        Args:
            folder: Made when missing. With adapters, ``adapter_config.json`` names the base as the user did,
                so that it is found on another machine too.
            state: The weights, where they are sharded over devices and had to be gathered.
        """
        model = self.model
        # Trainers turn the cache off and leave it so; whoever speaks with the model wants it.
        model.config.use_cache = True
        if not self.settings.lora:
            model.save_pretrained(folder, state_dict=state)
        elif self.settings.merge:
            model.merge_and_unload().save_pretrained(folder)
        else:
            model.peft_config["default"].base_model_name_or_path = self.base
            # "auto" asks the hub whether the base's vocabulary has grown; training never adds to it.
            model.save_pretrained(folder, state_dict=state, selected_adapters=["default"], save_embedding_layers=False)
            (folder / "README.md").unlink(missing_ok=True)
        self.tokenizer.save_pretrained(folder)


def load_policy(
    base: str, settings: TrainingSettings, out: Path, prepare: Callable[[Any], None] | None = None
) -> Policy:
    """Load the model that training begins with.

    A base that is itself an adapter is merged first, and a new adapter learns on top of it.

    Args:
        base: URI of a model with weights here: ``smollm2``, ``hf:FOLDER`` or ``hf:HUB_NAME``.
        settings: Whether adapters learn, and of what size.
        out: Where the model will be saved; a local base is named from there.
        prepare: Told of the bare model before adapters are put on it.

    Raises:
        ModelNotFound: the base is not there, or has no weights here.
    """
    kind, rest = resolve(base)
    if kind != "hf":
        raise ModelNotFound(
            f"base {base!r} has no weights here that could be trained; give smollm2, hf:FOLDER or hf:HUB_NAME"
        )
    # Half-precision weights would swallow small steps: only what stays as it is may be loaded so.
    half = settings.dtype == "bfloat16" and settings.lora
    if settings.quantize != "none":
        model, tokenizer = _load_quantized(rest, settings)
    else:
        found = load(rest, device="cpu", dtype="bfloat16" if half else "float32")
        model, tokenizer = found.model, found.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if prepare is not None:
        prepare(model)
    model = _with_adapters(model, settings) if settings.lora else model.requires_grad_(True)
    return Policy(model, tokenizer, settings, _base_name(rest, out))


def _load_quantized(rest: str, settings: TrainingSettings) -> tuple[Any, Any]:
    """A base in 4 or 8 bits, and its tokenizer (QLoRA, arXiv:2305.14314)."""
    words = f"quantize={settings.quantize!r}"
    if find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"{words} needs the package bitsandbytes, which is not installed: pip install bitsandbytes. "
            "Without it, use quantize=none; dtype=bfloat16 halves the memory of the base's weights"
        )
    import torch
    from peft import prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    folder, *adapters = adapter_chain(locate(rest))
    if adapters:
        raise SettingsError(
            f"{words} cannot begin with the adapter {adapters[-1]}: quantised weights cannot take it up. Train that "
            "one again with merge=true, or begin with its base"
        )
    how = BitsAndBytesConfig(
        load_in_4bit=settings.quantize == "4bit",
        load_in_8bit=settings.quantize == "8bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32,
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=how)
    except (ImportError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{words} cannot be had on this platform: {str(error).strip().splitlines()[0]}") from error
    model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=settings.gradient_checkpointing)
    return model, AutoTokenizer.from_pretrained(folder)


def _with_adapters(model: Any, settings: TrainingSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, config)
    if settings.gradient_checkpointing:
        # Checkpoints of a frozen embedding carry no gradient to the adapters above it.
        wrapped.enable_input_require_grads()
    return wrapped


def _base_name(rest: str, out: Path) -> str:
    """A base as its adapter names it: a folder given relative to here is relative to the adapter, to move with it."""
    folder = Path(rest).expanduser()
    if not folder.is_dir() or folder.is_absolute() or rest == "smollm2":
        return rest
    return os.path.relpath(folder, out)
