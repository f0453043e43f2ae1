"""Direct preference optimisation: make better answers likelier than worse ones, as seen from where one began."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class DPOSettings(TrainingSettings):
    """Settings of direct preference optimisation, beside those of all trainers.

    Attributes:
        beta: How dearly distance from the reference is paid; higher stays nearer.
        loss: ``sigmoid`` is DPO (arXiv:2305.18290), ``robust`` allows for preferences that are the wrong way round
            (arXiv:2403.00409), ``ipo`` is arXiv:2310.12036, ``hinge`` SLiC (arXiv:2305.10425).
        label_smoothing: For ``robust``: the share of preferences that are the wrong way round, below 0.5.
        precompute_reference: Ask the reference once for each row before training instead of in every step; None does
            so where rows are seen more than once, which is faster then.
    """

    beta: float = 0.1
    loss: Literal["sigmoid", "robust", "ipo", "hinge"] = "sigmoid"
    label_smoothing: float = 0.0
    precompute_reference: bool | None = None

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        # TRL takes it with every loss and uses it with some.
        idle = (
            [f"label_smoothing={self.label_smoothing} has no effect with loss={self.loss}; use loss=robust"]
            if self.label_smoothing and self.loss != "robust"
            else []
        )
        return [
            *super().faults(),
            *self.below(0, "beta", exclusive=True),
            *self.below(0, "label_smoothing"),
            *self.above(0.5, "label_smoothing"),
            *self.unknown("loss", "sigmoid", "robust", "ipo", "hinge"),
            *idle,
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
        from trainers.likelihood.tokenization import encode_preferences

        return encode_preferences(rows, encoder)

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """TRL's trainer, given ids so that it neither renders nor cuts anything itself."""
        from accelerate.utils import gather_object
        from trl import DPOConfig, DPOTrainer

        from trainers.finetuning.monitor import MonitoredTrainer
        from trainers.likelihood.answer_nll import answer_nlls, looking_on
        from trainers.likelihood.tokenization import questions_of

        pad = policy.tokenizer.pad_token_id

        class Trainer(MonitoredTrainer, DPOTrainer):
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # TRL has no other way to be given ids; the columns are those it makes itself.
                return dataset

            def _precompute_ref_logps(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # The model has not learnt yet, so it is its own reference. TRL's way needs a file that all
                # processes share, and computes the head on prompts too.
                share = self.accelerator
                mine = list(range(share.process_index, len(dataset), share.num_processes))
                questions = questions_of(dataset.select(mine))
                lengths = [[len(answer) for answer in answers] for _, answers in questions]
                with looking_on(self.model):
                    nll = answer_nlls(self.model, questions, pad).view(-1, 2)  # [rows, chosen and rejected]
                sums = [
                    [-n * length for n, length in zip(*of, strict=True)]
                    for of in zip(nll.tolist(), lengths, strict=True)
                ]
                known = dict(gather_object(list(zip(mine, sums, strict=True))))
                for side, name in enumerate(("ref_chosen_logps", "ref_rejected_logps")):
                    dataset = dataset.add_column(name, [known[row][side] for row in range(len(dataset))])
                return dataset

        s = self.settings
        precomputes = self._precomputes(len(encoded))
        # With adapters the reference is the model without them; else it is a copy of what training begins with.
        copied = not s.lora and not precomputes
        reference = copy.deepcopy(policy.model).eval().requires_grad_(False) if copied else None
        return Trainer(
            model=policy.model,
            ref_model=reference,
            args=DPOConfig(
                **arguments,
                max_length=None,
                beta=s.beta,
                loss_type=[s.loss],
                label_smoothing=s.label_smoothing,
                precompute_ref_log_probs=precomputes,
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
