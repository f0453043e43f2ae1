"""Low-rank adapters (LoRA, arXiv:2106.09685) on every linear layer of a model, by PEFT."""

from __future__ import annotations

from typing import Any

from trainers.settings import TrainingSettings


def add_lora(model: Any, settings: TrainingSettings) -> Any:
    """Wrap a model in new adapters, the only weights that learn.

    Args:
        model: A causal language model of transformers; its weights are frozen.
        settings: Rank (``lora_r``), scale (``lora_alpha``) and dropout of the adapters.

    Returns:
        A ``peft.PeftModel``.
    """
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
        # Without it, checkpoints of a frozen embedding pass no gradient to the adapters above it.
        wrapped.enable_input_require_grads()
    return wrapped
