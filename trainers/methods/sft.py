"""Supervised fine-tuning: imitates good answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class SFTSettings(TrainingSettings):
    """Settings of supervised fine-tuning: those of all trainers."""


class SFT(FineTuning):
    """Supervised fine-tuning on good answers; the loss includes answers only, not prompts."""

    name: ClassVar[str] = "sft"
    accepts: ClassVar[RowKind] = RowKind.DEMONSTRATIONS
    Settings: ClassVar[type[TrainingSettings]] = SFTSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of prompt and answer, with labels on the answer only."""
        from trainers.likelihood.tokenization import encode_demonstrations

        return encode_demonstrations(rows, encoder)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, so that it neither applies templates nor truncates."""
        from trl import SFTConfig, SFTTrainer

        from trainers.finetuning.monitor import MonitoredTrainer

        class Trainer(MonitoredTrainer, SFTTrainer):
            pass

        return Trainer(
            model=policy.model,
            args=SFTConfig(**arguments, max_length=None),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )
