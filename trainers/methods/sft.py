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
    r"""Supervised fine-tuning on good answers (arXiv:2203.02155, section 3.5).

    The loss includes answers only, not prompts.

    Loss:
        $$-\frac{1}{N} \sum_{(x, y)} \log \pi(y \mid x)$$

        $N$: number of answer tokens in the batch.

    Logs:
        token_accuracy: Share of answer tokens that are the likeliest next token, in 0..1.
        entropy: Entropy of the next token, in nats.

    Suits:
        Answers that are worth repeating: the best revisions of a society, or demonstrations of people. It is the baseline
        that any other trainer should beat.

    Fails:
        Nothing says what is bad: faults of the imitated answers are learnt too, and what was rated low is not used. With few
        rows and many epochs answers are learnt by heart; watch ``heldout_accuracy``.
    """

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
