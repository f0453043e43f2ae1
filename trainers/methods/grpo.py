"""Group relative policy optimisation: samples answers, has them rated by a rater of the society, and reinforces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from sandbox.typed_settings import above, at_least
from trainers.methods.online import OnlineFineTuning, OnlineSettings
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset

    from trainers.finetuning.policy import Policy


@dataclass(frozen=True, kw_only=True)
class GRPOSettings(OnlineSettings):
    """Settings of group relative policy optimisation, in addition to those of all online trainers.

    Attributes:
        beta: Strength of the KL penalty; 0 disables it and its measurement.
        clip: Clipping range of the probability ratio (epsilon).
        clip_high: Upper clipping range; None for ``clip``. DAPO uses 0.28.
        loss: Weighting of tokens and answers. ``grpo``: the mean over an answer's tokens, then over answers
            (arXiv:2402.03300). ``dapo``: the mean over all tokens of a step (arXiv:2503.14476). ``dr_grpo``: the sum
            over tokens by ``max_tokens``, and ratings without division by their spread (arXiv:2503.20783). ``bnpo``:
            the mean over the tokens of a batch on one device.
    """

    beta: Annotated[float, at_least(0)] = 0.04
    clip: Annotated[float, above(0)] = 0.2
    clip_high: Annotated[float | None, above(0)] = None
    loss: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "grpo"


class GRPO(OnlineFineTuning):
    r"""Group relative policy optimisation on ratings of the model's own answers (arXiv:2402.03300).

    Online: the model answers each question several times, an observer rates the answers, and answers rated above the mean of
    their question become likelier.

    Loss:
        $$-\frac{1}{G} \sum_{i=1}^{G} \frac{1}{|y_i|} \sum_{t}
        \min\left( \rho_{i,t} A_i,\ \mathrm{clip}(\rho_{i,t}, 1 - \epsilon, 1 + \epsilon') A_i \right)
        + \beta\, \mathrm{KL}(\pi \| \pi_0)$$

        $$A_i = \frac{r_i - \mathrm{mean}(r)}{\mathrm{std}(r)}$$

        $G$: answers to a question (``answers``), with ratings $r$; $\rho_{i,t}$: ratio of the probabilities of a token by the
        model in training and by the model that sampled it; $\epsilon$: ``clip``; $\epsilon'$: ``clip_high``; $\beta$: ``beta``.
        The setting ``loss`` changes how tokens and answers are weighted.

    Suits:
        Questions without good answers to imitate, but with a rater that can be believed; a base that sometimes answers well.

    Fails:
        Answers to a question that are all rated alike teach nothing (``frac_reward_zero_std``). What the rater likes by mistake
        is found and exaggerated: check it (``sandbox evaluate --controls``), and judge the result by another judge. Sampling
        makes it tens of times slower than offline trainers.
    """

    name: ClassVar[str] = "grpo"
    Settings: ClassVar[type[TrainingSettings]] = GRPOSettings
    settings: GRPOSettings

    def make_trainer(self, policy: Policy, encoded: Dataset, arguments: dict[str, Any], watch: Any) -> Any:
        """Make TRL's trainer, see :meth:`make_online`."""
        from trl import GRPOConfig, GRPOTrainer

        s = self.settings
        given = {
            "beta": s.beta,
            "epsilon": s.clip,
            "epsilon_high": s.clip_high,
            "loss_type": s.loss,
            "scale_rewards": "none" if s.loss == "dr_grpo" else "group",
        }
        return self.make_online(policy, encoded, watch, GRPOTrainer, GRPOConfig, {**arguments, **given})
