"""Direct preference optimisation: make better answers likelier than worse ones, as seen from where one began."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainers.base import RowKind, TrainingSettings
from trainers.finetuning import FineTuning

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.encoding import Encoder
    from trainers.policy import Policy


@dataclass(frozen=True, kw_only=True)
class DPOSettings(TrainingSettings):
    """Settings of direct preference optimisation, beside those of all trainers.

    Attributes:
        beta: How dearly distance from the reference is paid; higher stays nearer.
        loss: ``sigmoid`` is DPO (arXiv:2305.18290), ``ipo`` arXiv:2310.12036, ``hinge`` SLiC
            (arXiv:2305.10425).
        label_smoothing: Share of preferences taken to be the wrong way round, below 0.5.
        precompute_reference: Ask the reference once for each row before training instead of in every step; None does
            so where rows are seen more than once, which is faster then.
    """

    beta: float = 0.1
    loss: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"
    label_smoothing: float = 0.0
    precompute_reference: bool | None = None

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        return [
            *super().faults(),
            *self.below(0, "beta", exclusive=True),
            *self.below(0, "label_smoothing"),
            *self.above(0.5, "label_smoothing"),
            *self.unknown("loss", "sigmoid", "ipo", "hinge"),
        ]


class DPO(FineTuning):
    """Direct preference optimisation on pairs of a better and a worse answer.

    Its ``reward_margin`` is that of implicit rewards, beta times log-probabilities against the reference;
    ``preference_accuracy`` is the share of pairs in which the better answer has the higher reward.
    """

    name: ClassVar[str] = "dpo"
    accepts: ClassVar[RowKind] = RowKind.PREFERENCES
    Settings: ClassVar[type[TrainingSettings]] = DPOSettings
    settings: DPOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Ids of a prompt and its two answers."""
        from trainers.encoding import encode_preferences

        return encode_preferences(rows, encoder)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """TRL's trainer, given ids so that it neither renders nor cuts anything itself."""
        from trl import DPOConfig, DPOTrainer

        from trainers.watching import Watched

        class Trainer(Watched, DPOTrainer):
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # TRL has no other way to be given ids; the columns are those it makes itself.
                return dataset

        # With adapters the reference is the model without them; else it is a copy of what training begins with.
        reference = None if policy.settings.lora else copy.deepcopy(policy.model).eval().requires_grad_(False)
        s = self.settings
        return Trainer(
            model=policy.model,
            ref_model=reference,
            args=DPOConfig(
                **arguments,
                max_length=None,
                beta=s.beta,
                loss_type=[s.loss],
                label_smoothing=s.label_smoothing,
                precompute_ref_log_probs=self._precomputes(len(encoded)),
            ),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )

    def _precomputes(self, n_rows: int) -> bool:
        """Whether the reference is asked before training: once a row, against once whenever a row is seen."""
        s = self.settings
        if s.precompute_reference is not None:
            return s.precompute_reference
        if s.max_steps is None:
            return s.epochs > 1
        a_step = s.batch_size * s.gradient_accumulation * int(os.environ.get("WORLD_SIZE", "1"))
        return s.max_steps * a_step > n_rows
