"""Kahneman-Tversky optimisation: learn from single answers, each known to be good or bad."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.seeding import keyed_rng
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class KTOSettings(TrainingSettings):
    """Settings of Kahneman-Tversky optimisation, beside those of all trainers.

    Attributes:
        beta: How dearly distance from the reference is paid; higher stays nearer.
        good_weight: Of good answers in the loss. Where there are far fewer of one sort, its weight should make up for
            it: good_weight times their number within 1 to 1.33 times bad_weight times the bad ones' (arXiv:2402.01306,
            equation 8).
        bad_weight: Of bad answers.
    """

    beta: float = 0.1
    good_weight: float = 1.0
    bad_weight: float = 1.0

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        small = (
            [f"batch_size={self.batch_size!r} must be 2 or more: the reference point comes from others' answers"]
            if self.batch_size == 1
            else []
        )
        return [
            *super().faults(),
            *small,
            *self.below(0, "beta", exclusive=True),
            *self.below(0, "good_weight", "bad_weight"),
        ]


class KTO(FineTuning):
    """Kahneman-Tversky optimisation on answers labelled good or bad (arXiv:2402.01306).

    Beside what all trainers report, ``reference_point`` is the divergence that gains and losses are counted from,
    estimated on answers behind others' prompts, in nats.
    """

    name: ClassVar[str] = "kto"
    accepts: ClassVar[RowKind] = RowKind.UNPAIRED
    Settings: ClassVar[type[TrainingSettings]] = KTOSettings
    names: ClassVar[Mapping[str, str]] = {"kl": "reference_point"}
    settings: KTOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Ids of prompts and answers, and of the answer that stands behind each prompt for the reference point.

        The rows are shuffled once: TRL pairs them within batches that must stay as they are.
        """
        from trainers.likelihood.tokenization import encode_unpaired

        encoded = encode_unpaired(rows, encoder)
        order = list(range(len(encoded)))
        keyed_rng(self.settings.seed, "rows").shuffle(order)
        answers = [encoded[row]["completion_ids"] for row in order]
        others: list[list[int]] = []
        for start in range(0, len(answers), self.settings.batch_size):
            batch = answers[start : start + self.settings.batch_size]
            others += [batch[-1], *batch[:-1]]
        return encoded.select(order).add_column("KL_completion_ids", others)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """TRL's trainer, given ids so that it neither renders nor cuts anything itself."""
        from trl import KTOConfig, KTOTrainer

        from trainers.finetuning.monitor import MonitoredTrainer

        class Trainer(MonitoredTrainer, KTOTrainer):
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # TRL has no other way to be given ids; the columns are those it makes itself.
                return dataset

        # With adapters the reference is the model without them; else it is a copy of what training begins with.
        reference = None if policy.settings.lora else copy.deepcopy(policy.model).eval().requires_grad_(False)
        s = self.settings
        return Trainer(
            model=policy.model,
            ref_model=reference,
            args=KTOConfig(
                **{**arguments, "train_sampling_strategy": "sequential"},
                max_length=None,
                beta=s.beta,
                desirable_weight=s.good_weight,
                undesirable_weight=s.bad_weight,
            ),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
        )
