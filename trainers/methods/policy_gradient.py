"""Policy gradient on recorded answers: makes answers likelier by how much better than expected they were rewarded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from sandbox.errors import TrainingDataError
from sandbox.typed_settings import at_least, between
from trainers.finetuning.base import FineTuning
from trainers.rows.kinds import RowKind
from trainers.rows.validation import rating_of, scale_of
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy
    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class PolicyGradientSettings(TrainingSettings):
    """Settings of the policy gradient, in addition to those of all trainers; ``batch_size`` counts answers.

    Attributes:
        baseline: What a rating is compared with. ``prompt``: the mean of the answers to the same prompt, or of the record for a
            prompt with a single answer. ``record``: the mean of the record. ``none``: the lowest rating of the scale, so that
            all answers become likelier, the better the more.
        normalize: Divide advantages by their root mean square over the record.
        clip: Clipping range of the ratio of likelihoods to those of the base (epsilon); none for no limit.
        beta: Weight of the estimated KL divergence from the base; 0 for no penalty.
        entropy: Weight of the entropy of the next token, which keeps answers varied; 0 does not compute it.
        per_token: Compare mean log-likelihoods per token, so that long answers count as much as short ones
            (arXiv:2507.18071); false for those of whole answers, the exact ratio, which suits short choices.
    """

    baseline: Literal["prompt", "record", "none"] = "prompt"
    normalize: bool = True
    clip: Annotated[float | None, between(0, 1, "()")] = 0.2
    beta: Annotated[float, at_least(0)] = 0.0
    entropy: Annotated[float, at_least(0)] = 0.0
    per_token: bool = True


class PolicyGradient(FineTuning):
    r"""Policy gradient with a baseline on recorded answers (REINFORCE, Williams 1992; clipped as in arXiv:1707.06347).

    Offline: the answers of a record are what the base said, and their ratings or rewards say how good they were. The
    likelihoods of the base before the first step are those of the behaviour, to which the ratio of every later step refers.

    Loss:
        $$-\min\left( \rho A,\ \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A \right) + \beta (\rho - 1 - \log \rho) - h H$$

        $\rho$: ratio of the likelihoods of the answer by the model in training and by the base, per token if ``per_token``;
        $A$: advantage, the rating less the ``baseline``; $\epsilon$: ``clip``; $\beta$: ``beta``; $H$: entropy of the next
        token, of weight $h$ = ``entropy``. Mean over answers.

    Logs:
        reward: Mean rating.
        expected_reward: Mean rating weighted by the ratio: what the model in training is expected to reach on these prompts.
        advantage: Mean advantage with the same weights.
        clipped: Share of answers whose ratio is beyond the clip, in 0..1.
        kl_estimate: Estimate of the KL divergence from the base, as in the penalty, in nats.
        entropy: Entropy of the next token, in nats; only if it has a weight.
        reward_margin: Log-likelihood of answers with a positive advantage minus that of the others, in nats per token.

    Suits:
        Rewards of what agents chose or said in a society, where the base is the model that said it.

    Fails:
        Answers that another model gave: the ratio then means nothing. Beyond the clip nothing is learnt, so that a few epochs
        are enough; then simulate again (``sandbox evolve``).
    """

    name: ClassVar[str] = "policy_gradient"
    accepts: ClassVar[RowKind] = RowKind.UNPAIRED
    Settings: ClassVar[type[TrainingSettings]] = PolicyGradientSettings
    settings: PolicyGradientSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of prompts and answers, with the advantage of each answer.

        Raises:
            TrainingDataError: no answer is better than another to which it is compared.
        """
        from trainers.likelihood.tokenization import encode_unpaired

        ratings = [rating_of(row) for row in rows]
        worth = [(rating - 1) / (scale_of(row) - 1) for rating, row in zip(ratings, rows, strict=True)]
        counts = [float(row.get("count") or 1) for row in rows]
        found = advantages(
            worth,
            counts,
            [repr(row["prompt"]) for row in rows],
            baseline=self.settings.baseline,
            normalize=self.settings.normalize,
        )
        if not any(found):
            raise TrainingDataError(
                f"trainer {self.name!r}: all {len(rows)} answers are rated as expected, so none is to become likelier; use "
                "--set baseline=record if answers to one prompt are rated alike, or record more rounds"
            )
        columns = {"rating": ratings, "advantage": found, "count": counts}
        encoded = encode_unpaired(rows, encoder)
        for name, values in columns.items():
            encoded = encoded.add_column(name, values)
        return encoded

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make the trainer of transformers with this loss; the likelihoods of the base are computed first."""
        from transformers import TrainingArguments

        from trainers.finetuning.policy_gradient_trainer import AnswerCollator, PolicyGradientTrainer
        from trainers.likelihood.answer_nll import answer_nlls, eval_mode
        from trainers.likelihood.tokenization import questions_of

        s, pad = self.settings, policy.tokenizer.pad_token_id
        trainer = PolicyGradientTrainer(
            model=policy.model,
            args=TrainingArguments(**arguments),
            data_collator=AnswerCollator(pad),
            train_dataset=encoded,
            processing_class=policy.tokenizer,
            callbacks=[watch],
            clip=s.clip,
            beta=s.beta,
            entropy=s.entropy,
            per_token=s.per_token,
        )
        with eval_mode(policy.model), trainer.accelerator.autocast():
            nll = answer_nlls(policy.model, questions_of(encoded), pad)  # [answers]
        trainer.train_dataset = encoded.add_column("behaviour_nll", nll.tolist())
        return trainer


def advantages(
    rewards: Sequence[float], counts: Sequence[float], prompts: Sequence[str], *, baseline: str, normalize: bool
) -> list[float]:
    """How much better each answer is than expected.

    Args:
        rewards: Of the answers.
        counts: How many times each was given.
        prompts: What each answers.
        baseline: See :class:`PolicyGradientSettings`, as for ``normalize``.
        normalize: Whether the root mean square of the advantages is made 1.

    Returns:
        One for each answer; all 0 if no answer is better than expected.
    """
    everywhere = _mean(rewards, counts)
    groups: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        groups.setdefault(prompt, []).append(number)
    means = {
        prompt: _mean([rewards[n] for n in members], [counts[n] for n in members])
        if sum(counts[n] for n in members) > 1
        else everywhere
        for prompt, members in groups.items()
    }
    if baseline != "prompt":
        means = dict.fromkeys(means, everywhere if baseline == "record" else 0.0)
    found = [reward - means[prompt] for reward, prompt in zip(rewards, prompts, strict=True)]
    spread = math.sqrt(_mean([one * one for one in found], counts))
    if spread < 1e-9:
        return [0.0] * len(found)
    return [one / spread for one in found] if normalize else found


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(v * w for v, w in zip(values, weights, strict=True)) / math.fsum(weights)
