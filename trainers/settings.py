"""Settings that all built-in trainers share, and the checks of their values.

Nothing here knows how a trainer uses them, or imports torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sandbox.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings that all built-in trainers share. Steps, batches and rates are those of the optimiser.

    Attributes:
        epochs: Passes over the rows.
        max_steps: Stop after so many steps instead, whatever ``epochs`` says; for equal budgets.
        learning_rate: The highest; None for 2e-4 with LoRA and 2e-5 (the paper's) without.
        batch_size: Rows (questions) a step on each device.
        gradient_accumulation: Batches a step.
        max_length: Tokens of a prompt with one answer at most. Longer prompts lose their beginning, longer
            answers their end.
        warmup_ratio: Share of the steps over which the learning rate rises.
        schedule: How it falls afterwards.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are scaled down to this norm.
        lora: Train low-rank adapters on all linear layers instead of all weights.
        lora_r: Their rank.
        lora_alpha: Their scale, as alpha / r.
        lora_dropout: Dropout before them.
        merge: Save the adapters merged into full weights instead of beside the base model.
        quantize: Load the base's weights in ``4bit`` or ``8bit`` and train adapters on them (QLoRA); needs the package
            bitsandbytes and a platform that it supports.
        dtype: ``float32``, or ``bfloat16`` for mixed precision.
        gradient_checkpointing: Recompute activations to save memory.
        device: ``auto`` takes an accelerator where there is one; or ``cpu``.
        threads: Threads of the CPU; None leaves them as they are.
        seed: Keys everything random.
        logging_steps: Steps between two records of the history.
        measure_kl: Measure now and then how far the model has moved from its base (``kl``).
        save_steps: Steps between two checkpoints, from which a training that was killed goes on; None makes none.
        heldout_share: Share of the questions that is held out of the rows, to stop early by.
        heldout: A file of preferences or ranked rows to stop early by instead.
        patience: Stop after so many measurements of the held-out preference accuracy that bring nothing better; the
            best weights are kept.
        eval_steps: Steps between two such measurements; None measures after every epoch.
        report_to: Trackers of transformers, as ``tensorboard`` or ``wandb``.
        progress: Show progress on standard error.
        fsdp: Shard the model over accelerators: passed on to ``transformers.TrainingArguments``, as ``full_shard``.
            Not tried on accelerators by this project.
        fsdp_config: A JSON file of its settings, passed on likewise.

    Raises:
        SettingsError: names every setting that cannot be used.
    """

    epochs: float = 3.0
    max_steps: int | None = None
    learning_rate: float | None = None
    batch_size: int = 4
    gradient_accumulation: int = 1
    max_length: int = 360
    warmup_ratio: float = 0.03
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora: bool = True
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    merge: bool = False
    quantize: Literal["none", "4bit", "8bit"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    device: Literal["auto", "cpu"] = "auto"
    threads: int | None = None
    seed: int = 0
    logging_steps: int = 1
    measure_kl: bool = True
    save_steps: int | None = None
    heldout_share: float = 0.0
    heldout: str | None = None
    patience: int = 3
    eval_steps: int | None = None
    report_to: tuple[str, ...] = ()
    progress: bool = True
    fsdp: str | None = None
    fsdp_config: str | None = None

    def __post_init__(self) -> None:
        faults = self.faults()
        if faults:
            raise SettingsError("trainer settings cannot be used:\n" + "\n".join(f"  {f}" for f in faults))

    @property
    def peak_learning_rate(self) -> float:
        """The highest learning rate, with its default resolved."""
        if self.learning_rate is not None:
            return self.learning_rate
        return 2e-4 if self.lora else 2e-5

    def faults(self) -> list[str]:
        """What cannot be used, one line each; subclasses add theirs."""
        return [
            *self.below(0, "epochs", "learning_rate", "max_grad_norm", exclusive=True),
            *self.below(1, "max_steps", "batch_size", "gradient_accumulation", whole=True),
            *self.below(1, "lora_r", "lora_alpha", "threads", "logging_steps", whole=True),
            *self.below(1, "save_steps", "patience", "eval_steps", whole=True),
            *self.below(8, "max_length", whole=True),
            *self.below(0, "seed", whole=True),
            *self.below(0, "warmup_ratio", "weight_decay", "lora_dropout", "heldout_share"),
            *self.above(1, "warmup_ratio", "lora_dropout", "heldout_share"),
            *self.unknown("schedule", "cosine", "linear", "constant", "constant_with_warmup"),
            *self.unknown("dtype", "float32", "bfloat16"),
            *self.unknown("device", "auto", "cpu"),
            *self.unknown("quantize", "none", "4bit", "8bit"),
            *self._contradictions(),
        ]

    def _contradictions(self) -> list[str]:
        """Settings that cannot be had together."""
        return [
            words
            for wrong, words in (
                (
                    self.heldout is not None and self.heldout_share,
                    "heldout and heldout_share both say what is held out; give one of them",
                ),
                (
                    self.quantize != "none" and not self.lora,
                    f"quantize={self.quantize!r} trains adapters on frozen weights; it needs lora=true",
                ),
                (
                    self.quantize != "none" and self.merge,
                    f"quantize={self.quantize!r} leaves nothing that adapters could be merged into; use merge=false",
                ),
                (
                    self.fsdp_config is not None and not self.fsdp,
                    "fsdp_config has no effect without fsdp, as full_shard",
                ),
            )
            if wrong
        ]

    def below(self, least: float, *names: str, exclusive: bool = False, whole: bool = False) -> list[str]:
        """Faults of numbers that are too small, or no numbers; None is taken for a default."""
        words = f"a {'whole ' if whole else ''}number {'above' if exclusive else 'of at least'} {least:g}"
        kinds = int if whole else (int, float)
        return [
            f"{name}={value!r} must be {words}"
            for name in names
            if (value := getattr(self, name)) is not None
            and not (
                isinstance(value, kinds) and math.isfinite(value) and (value > least if exclusive else value >= least)
            )
        ]

    def above(self, bound: float, *names: str) -> list[str]:
        """Faults of numbers that reach a bound they must stay below."""
        return [
            f"{name}={value!r} must be below {bound:g}"
            for name in names
            if isinstance(value := getattr(self, name), int | float) and value >= bound
        ]

    def unknown(self, name: str, *known: str) -> list[str]:
        """The fault of a word that is none of the known ones."""
        value = getattr(self, name)
        return [] if value in known else [f"{name}={value!r} is not one of {', '.join(known)}"]
