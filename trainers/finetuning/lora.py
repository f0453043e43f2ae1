"""Low-rank adapters (LoRA, arXiv:2106.09685) on every linear layer of a model, by PEFT."""

from __future__ import annotations

from typing import Any

from trainers.settings import TrainingSettings


def add_lora(model: Any, settings: TrainingSettings, task: str = "CAUSAL_LM") -> Any:
    """Wrap a model in new adapters, the only weights that learn.

    Args:
        model: A model of transformers; its weights are frozen, except for a new head.
        settings: Rank (``lora_r``), scale (``lora_alpha``) and dropout of the adapters.
        task: What the model does, as PEFT names it: ``CAUSAL_LM``, or ``SEQ_CLS`` for a sequence classifier.

    Returns:
        A ``peft.PeftModel``.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type=task,
    )
    wrapped = get_peft_model(model, config)
    if settings.gradient_checkpointing:
        # Without it, checkpoints of a frozen embedding pass no gradient to the adapters above it.
        wrapped.enable_input_require_grads()
    return wrapped
