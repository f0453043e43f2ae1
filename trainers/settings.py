"""Settings shared by all built-in trainers, and checks of their values.

Imports no torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal

from sandbox.typed_settings import SEEDS, above, at_least, between, refuse, setting_faults


@dataclass(frozen=True)
class ArgumentsClass:
    """The class that takes what is given as ``args.NAME``.

    Attributes:
        path: ``module:class`` of ``transformers.TrainingArguments`` or a subclass.
        set_by: Its further arguments that are settings of a trainer, and those settings.
        no_use: Its further arguments that are not available, and why.
    """

    path: str = "transformers:TrainingArguments"
    set_by: Mapping[str, str] = field(default_factory=dict)
    no_use: Mapping[str, str] = field(default_factory=dict)

    @property
    def called(self) -> str:
        """Its name in messages, for example ``transformers.TrainingArguments``."""
        module, _, name = self.path.partition(":")
        return f"{module.partition('.')[0]}.{name}"

    def load(self) -> Any:
        """Import the class, without the warning that a package of TRL is experimental."""
        module, _, name = self.path.partition(":")
        with warnings.catch_warnings(action="ignore"):
            return getattr(import_module(module), name)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings shared by all built-in trainers. Steps are those of the optimiser.

    Attributes:
        epochs: Passes over the rows.
        max_steps: Number of steps in place of ``epochs``, for equal budgets.
        learning_rate: Peak learning rate; None for 2e-4 with LoRA and 2e-5 (the paper's) without.
        batch_size: Rows (questions) per batch on each device.
        gradient_accumulation: Batches per step.
        max_length: Maximum number of tokens of a prompt with one answer, as in evaluations. Longer prompts lose their
            earliest turns, longer answers their end; the share of cut rows is reported.
        warmup_ratio: Share of the steps over which the learning rate rises.
        schedule: Decay of the learning rate afterwards.
        weight_decay: Weight decay of AdamW.
        max_grad_norm: Maximum norm of gradients.
        lora: Train low-rank adapters on all linear layers instead of all weights.
        lora_r: Rank of the adapters.
        lora_alpha: Scale of the adapters is alpha / r.
        lora_dropout: Dropout before the adapters.
        merge: Save the adapters merged into full weights.
        quantize: Load the base in ``4bit`` or ``8bit`` and train adapters on it (QLoRA); needs the package bitsandbytes and
            a platform that it supports.
        dtype: ``float32``, or ``bfloat16`` for mixed precision.
        gradient_checkpointing: Recompute activations to save memory.
        device: ``auto`` for an accelerator if there is one, or ``cpu``.
        threads: CPU threads; None for the current number.
        seed: Seed of all randomness.
        logging_steps: Steps between two records of the history.
        measure_kl: Measure the KL divergence from the base (``kl``) about ten times.
        save_steps: Steps between two checkpoints, from which an interrupted training resumes; None for no checkpoints.
        keep_checkpoints: Keep the last checkpoint of a finished training beside the model folder, so that ``--resume``
            with more epochs or steps continues from it.
        heldout_share: Share of the questions to hold out of the rows, for early stopping.
        heldout: File of preferences or ranked rows for early stopping, instead.
        patience: Number of measurements of the held-out preference accuracy without improvement after which the training
            stops; the best weights are kept.
        eval_steps: Steps between two such measurements; None measures after every epoch.
        report_to: Trackers of transformers, for example ``tensorboard`` or ``wandb``.
        progress: Show progress on standard error.
        fsdp: Shard the model over accelerators: passed to ``transformers.TrainingArguments``, for example ``full_shard``.
            Not tested on accelerators by this project.
        fsdp_config: JSON file with settings of FSDP, passed on likewise.
        args: Further arguments of ``transformers.TrainingArguments``, for example ``--set args.optim=adafactor``,
            ``args.dataloader_num_workers=4``, ``args.fp16=true`` or ``args.deepspeed=zero3.json``.

    Raises:
        SettingsError: names every invalid setting.
    """

    epochs: Annotated[float, above(0)] = 3.0
    max_steps: Annotated[int | None, at_least(1)] = None
    learning_rate: Annotated[float | None, above(0)] = None
    batch_size: Annotated[int, at_least(1)] = 4
    gradient_accumulation: Annotated[int, at_least(1)] = 1
    max_length: Annotated[int, at_least(8)] = 1024
    warmup_ratio: Annotated[float, between(0, 1, "[)")] = 0.03
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: Annotated[float, at_least(0)] = 0.0
    max_grad_norm: Annotated[float, above(0)] = 1.0
    lora: bool = True
    lora_r: Annotated[int, at_least(1)] = 16
    lora_alpha: Annotated[int, at_least(1)] = 32
    lora_dropout: Annotated[float, between(0, 1, "[)")] = 0.0
    merge: bool = False
    quantize: Literal["none", "4bit", "8bit"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    device: Literal["auto", "cpu"] = "auto"
    threads: Annotated[int | None, at_least(1)] = None
    seed: Annotated[int, SEEDS] = 0
    logging_steps: Annotated[int, at_least(1)] = 1
    measure_kl: bool = True
    save_steps: Annotated[int | None, at_least(1)] = None
    keep_checkpoints: bool = False
    heldout_share: Annotated[float, between(0, 1, "[)")] = 0.0
    heldout: str | None = None
    patience: Annotated[int, at_least(1)] = 3
    eval_steps: Annotated[int | None, at_least(1)] = None
    report_to: tuple[str, ...] = ()
    progress: bool = True
    fsdp: str | None = None
    fsdp_config: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict)

    arguments: ClassVar[ArgumentsClass] = ArgumentsClass()

    def __post_init__(self) -> None:
        refuse("trainer settings cannot be used", self.faults())

    @property
    def peak_learning_rate(self) -> float:
        """The peak learning rate, with its default resolved."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 2e-4 if self.lora else 2e-5

    def faults(self) -> list[str]:
        """List invalid settings, one line each; a subclass adds invalid combinations, which ranges cannot state."""
        faults = setting_faults(self)
        if self.heldout is not None and self.heldout_share:
            faults.append("heldout and heldout_share are alternatives; give one of them")
        if self.quantize != "none" and not self.lora:
            faults.append(f"quantize={self.quantize!r} trains adapters on frozen weights; it needs lora=true")
        if self.quantize != "none" and self.merge:
            faults.append(f"quantize={self.quantize!r} gives adapters no full weights to merge into; use merge=false")
        if self.keep_checkpoints and self.save_steps is None:
            faults.append("keep_checkpoints=true has no effect without save_steps, for example save_steps=100")
        if self.fsdp and self.lora and self.merge:
            faults.append(
                "merge=true needs whole weights, which no process has with fsdp; use merge=false, and then: "
                "sandbox export-model"
            )
        if self.fsdp_config is not None and not self.fsdp:
            faults.append("fsdp_config has no effect without fsdp, for example fsdp=full_shard")
        return faults
