"""What trainers on ranked rows have in common: a question's answers side by side, and a loss over their likelihoods.

A new contrastive loss is a subclass with one method; see ``rrhf.py``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class RankingSettings(TrainingSettings):
    """Settings of trainers on ranked rows, beside those of all trainers.

    Attributes:
        share_prompts: Compute a question's prompt once for all its answers, where the model can.
    """

    share_prompts: bool = True


class RankedFineTuning(FineTuning):
    """A trainer whose loss compares the likelihoods of a question's rated answers."""

    accepts: ClassVar[RowKind] = RowKind.RANKED
    Settings: ClassVar[type[TrainingSettings]] = RankingSettings
    settings: RankingSettings

    @abstractmethod
    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """The loss of each question, in nats per token. Shape [questions].

        Args:
            nll: Mean negative log-likelihood per answer token, in nats. Shape [questions, answers].
            ratings: Of the answers, in [1, scale]. Shape [questions, answers].
            mask: True where an answer exists. Shape [questions, answers].
            scale: The highest rating of each question. Shape [questions].
        """

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Ids of every prompt and all its answers."""
        from trainers.likelihood.tokenization import encode_ranked

        return encode_ranked(rows, encoder)

    def prepare(self, model: Any) -> None:
        """Let the model give likelihoods of answers alone."""
        from trainers.likelihood.answer_nll import add_answer_nll

        add_answer_nll(model)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """A trainer of transformers with our loss."""
        from transformers import TrainingArguments

        from trainers.finetuning.ranked_trainer import RankedTrainer
        from trainers.likelihood.answer_nll import can_share_prompts
        from trainers.likelihood.collation import Collator

        s = self.settings
        if arguments["use_cpu"]:
            # The loss counts every question of a step alike, whichever batch it stands in. A CPU is as fast with one
            # at a time, which takes no padding, and needs the memory of one alone.
            a_step = s.batch_size * s.gradient_accumulation
            arguments = {**arguments, "per_device_train_batch_size": 1, "gradient_accumulation_steps": a_step}
        shared = s.share_prompts and can_share_prompts(policy.model, s.max_length)
        return RankedTrainer(
            model=policy.model,
            args=TrainingArguments(**arguments),
            data_collator=Collator(pad=policy.tokenizer.pad_token_id, shared=shared),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
            losses=self.losses,
        )
