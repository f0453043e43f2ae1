"""REINFORCE leave-one-out: samples answers, has them rated by a rater of the society, and reinforces the better ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.typed_settings import above, at_least
from trainers.methods.online import OnlineFineTuning, OnlineSettings
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy


@dataclass(frozen=True, kw_only=True)
class RLOOSettings(OnlineSettings):
    """Settings of REINFORCE leave-one-out, in addition to those of all online trainers.

    Attributes:
        beta: Weight of the KL divergence from the base, which is taken from the rating; 0 disables it and its measurement.
        clip: Clipping range of the probability ratio (epsilon).
        normalize: Make the advantages of a batch have mean 0 and spread 1.
    """

    beta: Annotated[float, at_least(0)] = 0.05
    clip: Annotated[float, above(0)] = 0.2
    normalize: bool = False


class RLOO(OnlineFineTuning):
    r"""REINFORCE leave-one-out on ratings of the model's own answers (arXiv:2402.14740).

    Online: the model answers each question several times, and each answer becomes likelier by how far its rating is above the
    mean of the others to the same question.

    Loss:
        $$-\frac{1}{G} \sum_{i=1}^{G} \min\left( \rho_i A_i,\ \mathrm{clip}(\rho_i, 1 - \epsilon, 1 + \epsilon) A_i \right),
        \qquad A_i = r_i - \frac{1}{G - 1} \sum_{j \neq i} r_j$$

        $G$: answers to a question (``answers``); $r_i$: rating of an answer, less ``beta`` times its log-ratio to the base;
        $\rho_i$: ratio of the likelihoods of the answer by the model in training and by the model that sampled it; $\epsilon$:
        ``clip``.

    Suits:
        As ``grpo``, where ratings are on a scale whose differences mean something: the baseline is unbiased and ratings are not
        divided by their spread.

    Fails:
        As ``grpo``: without differences between the answers to a question nothing is learnt, and faults of the rater are
        exaggerated.
    """

    name: ClassVar[str] = "rloo"
    Settings: ClassVar[type[TrainingSettings]] = RLOOSettings
    settings: RLOOSettings

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer, see :meth:`make_online`."""
        from trl import RLOOConfig, RLOOTrainer

        s = self.settings
        given = {"beta": s.beta, "epsilon": s.clip, "normalize_advantages": s.normalize}
        return self.make_online(policy, encoded, watch, RLOOTrainer, RLOOConfig, {**arguments, **given})
