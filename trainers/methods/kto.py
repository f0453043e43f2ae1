"""Kahneman-Tversky optimisation: learns from single answers labelled good or bad."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.typed_settings import above, at_least
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class KTOSettings(TrainingSettings):
    """Settings of Kahneman-Tversky optimisation, in addition to those of all trainers.

    Attributes:
        beta: Strength of the KL penalty; higher values stay closer to the reference.
        good_weight: Weight of good answers. If the classes are unbalanced, good_weight times the number of good answers should
            be 1 to 1.33 times bad_weight times that of bad ones (arXiv:2402.01306, equation 8).
        bad_weight: Weight of bad answers.
    """

    beta: Annotated[float, above(0)] = 0.1
    good_weight: Annotated[float, at_least(0)] = 1.0
    bad_weight: Annotated[float, at_least(0)] = 1.0

    def faults(self) -> list[str]:
        """List invalid settings, one line each."""
        small = (
            [f"batch_size={self.batch_size!r} must be 2 or more: the reference point needs answers to other prompts"]
            if self.batch_size == 1
            else []
        )
        return [*super().faults(), *small]


class KTO(FineTuning):
    r"""Kahneman-Tversky optimisation on answers labelled good or bad (arXiv:2402.01306).

    Loss:
        $$w \left( 1 - \sigma(\pm \beta (r - z)) \right), \qquad r = \log \frac{\pi(y \mid x)}{\pi_0(y \mid x)}$$

        $+$ for good answers, of weight $w$ = ``good_weight``; $-$ for bad ones, of weight ``bad_weight``; $\beta$: ``beta``;
        $z$: the reference point, an estimate of the KL divergence from the base on answers to other prompts, at least 0,
        through which no gradient flows; $\sigma$: the logistic function. Mean over answers.

    Logs:
        reference_point: The reference point, in nats.
        reward_margin: Mean implicit reward, beta times the log-ratio, of good answers minus that of bad ones.
        rewards/*: Implicit rewards of good (``chosen``) and bad (``rejected``) answers.
        logps/*: Log-likelihoods of the answers, in nats.
        logits/*: Mean logits of the answers.
        entropy: Entropy of the next token, in nats.

    Suits:
        Single answers that were liked or disliked, without pairs: votes of users, failures beside successes, unequal
        numbers of both.

    Fails:
        Batches of few prompts, whose reference point is noise; classes of very different size without ``good_weight`` and
        ``bad_weight``. Where there are pairs, ``dpo`` learns more from each.
    """

    name: ClassVar[str] = "kto"
    accepts: ClassVar[RowKind] = RowKind.UNPAIRED
    Settings: ClassVar[type[TrainingSettings]] = KTOSettings
    names: ClassVar[Mapping[str, str]] = {"kl": "reference_point"}
    settings: KTOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of prompts and answers."""
        from trainers.likelihood.tokenization import encode_unpaired

        encoded = encode_unpaired(rows, encoder)
        # TRL's collator needs the column; see mismatch.
        return encoded.add_column("KL_completion_ids", answers_to_other_prompts(encoded))

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer on token ids, so that it neither applies templates nor truncates."""
        from trl import KTOConfig, KTOTrainer

        from trainers.finetuning.monitor import MonitoredTrainer

        class Trainer(MonitoredTrainer, KTOTrainer):
            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                # The only way to pass ids to TRL; the columns are those it makes itself.
                return dataset

        # With adapters the reference is the model without them; otherwise a copy of the base.
        reference = None if policy.settings.lora else copy.deepcopy(policy.model).eval().requires_grad_(False)
        s = self.settings
        trainer = Trainer(
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
        mismatch_batches(trainer, arguments["train_sampling_strategy"])
        return trainer


def mismatch_batches(trainer: Any, sampling: str) -> None:
    """Let a trainer of TRL pair the rows of each batch by :func:`mismatch`, and draw them in any order.

    TRL pairs rows in advance and must keep their order.

    Args:
        trainer: A ``KTOTrainer``, made with the sampling strategy ``sequential``.
        sampling: The sampling strategy instead.
    """
    trainer.args.train_sampling_strategy = sampling
    collate = trainer.data_collator
    trainer.data_collator = lambda rows: collate(mismatch(rows))


def mismatch(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Pair each prompt of a batch with an answer to another prompt, for the reference point.

    Answers are rotated by one, or by more if the next belongs to the same prompt; a batch with a single prompt is left
    unchanged.

    Args:
        rows: Rows with prompt_ids, completion_ids and KL_completion_ids.
    """
    found = []
    for at, row in enumerate(rows):
        others = (rows[at - back] for back in range(1, len(rows)))
        other = next((one["completion_ids"] for one in others if one["prompt_ids"] != row["prompt_ids"]), None)
        found.append({**row, "KL_completion_ids": row["KL_completion_ids"] if other is None else other})
    return found


def answers_to_other_prompts(encoded: Dataset) -> list[list[int]]:
    """For each row the answer of the next row with another prompt; of the next row if there is only one prompt."""
    prompts, answers = [tuple(ids) for ids in encoded["prompt_ids"]], list(encoded["completion_ids"])
    found = []
    for at, prompt in enumerate(prompts):
        following = [(at + step) % len(prompts) for step in range(1, len(prompts))]
        found.append(answers[next((n for n in following if prompts[n] != prompt), (at + 1) % len(prompts))])
    return found
