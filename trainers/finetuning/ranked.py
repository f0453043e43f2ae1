"""RankedFineTuning, the base of trainers on ranked rows: a loss over the likelihoods of a question's answers.

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
    """Settings of trainers on ranked rows, in addition to those of all trainers.

    Attributes:
        share_prompts: Compute the prompt of a question once for all its answers, if the model allows.
    """

    share_prompts: bool = True


class RankedFineTuning(FineTuning):
    """A trainer whose loss compares the likelihoods of a question's rated answers.

    Logs:
        nll_best: Negative log-likelihood of the best-rated answers, in nats per token.
        reward_margin: Log-likelihood of the best answer minus that of the others, in nats per token.
        preference_accuracy: Share of pairs in which the better-rated answer is the likelier one per token, in 0..1.
    """

    accepts: ClassVar[RowKind] = RowKind.RANKED
    Settings: ClassVar[type[TrainingSettings]] = RankingSettings
    settings: RankingSettings

    @abstractmethod
    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """The loss of each question, in nats per token. Shape [questions].

        Args:
            nll: Mean negative log-likelihood per answer token, in nats. Shape [questions, answers].
            ratings: Rating of each answer, in [1, scale]. Shape [questions, answers].
            mask: True where an answer exists. Shape [questions, answers].
            scale: The highest rating of each question. Shape [questions].
        """

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of every prompt and all its answers."""
        from trainers.likelihood.tokenization import encode_ranked

        return encode_ranked(rows, encoder)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make the trainer of transformers with this loss."""
        from transformers import TrainingArguments

        from trainers.finetuning.ranked_trainer import RankedTrainer
        from trainers.likelihood.answer_nll import can_share_prompts
        from trainers.likelihood.collation import Collator

        s = self.settings
        if arguments["use_cpu"]:
            # The loss weights all questions of a step equally, whatever the batches. On a CPU single questions are as
            # fast, without padding and with less memory.
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
