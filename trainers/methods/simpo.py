"""Simple preference optimisation: likelihoods per token with a target margin, without a reference model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from sandbox.typed_settings import above, at_least
from trainers.finetuning.ranked import RankedFineTuning, RankingSettings
from trainers.losses import simpo_losses
from trainers.rows.kinds import RowKind
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from trainers.likelihood.tokenization import Encoder


@dataclass(frozen=True, kw_only=True)
class SimPOSettings(RankingSettings):
    """Settings of simple preference optimisation, in addition to those of all trainers on ranked rows.

    Attributes:
        beta: Scale of the difference of log-probabilities per token; 2.0 to 2.5 in the paper.
        margin: Target margin of the scaled difference (gamma); 0.3 to 1.6 in the paper.
    """

    beta: Annotated[float, above(0)] = 2.0
    margin: Annotated[float, at_least(0)] = 1.0


class SimPO(RankedFineTuning):
    r"""Simple preference optimisation on pairs of a better and a worse answer (arXiv:2405.14734).

    Loss:
        $$-\log \sigma\left( \frac{\beta}{|y_w|} \log \pi(y_w \mid x)
        - \frac{\beta}{|y_l|} \log \pi(y_l \mid x) - \gamma \right)$$

        $y_w$: the better answer; $y_l$: the worse one; $\beta$: ``beta``; $\gamma$: ``margin``; $\sigma$: the logistic
        function. Mean over pairs.

    Suits:
        Pairs of answers of different lengths, as length has no advantage; little memory, as there is no reference model.

    Fails:
        Nothing keeps the model near its base: with a high learning rate or many epochs replies degenerate; watch ``kl``.
        Sensitive to ``beta`` and ``margin``.
    """

    name: ClassVar[str] = "simpo"
    accepts: ClassVar[RowKind] = RowKind.PREFERENCES
    Settings: ClassVar[type[TrainingSettings]] = SimPOSettings
    settings: SimPOSettings

    def encode(self, rows: Dataset, encoder: Encoder) -> Dataset:
        """Token ids of every prompt and its two answers, the better one with the higher rating."""
        from trainers.likelihood.tokenization import encode_pairs

        return encode_pairs(rows, encoder)

    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """See :func:`trainers.losses.simpo_loss`; only the order of ratings matters. Shape [questions]."""
        del scale
        return simpo_losses(nll, ratings, mask, beta=self.settings.beta, margin=self.settings.margin)
