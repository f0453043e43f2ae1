"""RRHF: imitates the best-rated answer, and ranks likelihoods in the order of the ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from sandbox.typed_settings import at_least
from trainers.finetuning.ranked import RankedFineTuning, RankingSettings
from trainers.losses import rrhf_losses
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RRHFSettings(RankingSettings):
    """Settings of RRHF, in addition to those of all trainers on ranked rows.

    Attributes:
        weight: Weight of the ranking, relative to the imitation.
    """

    weight: Annotated[float, at_least(0)] = 1.0


class RRHF(RankedFineTuning):
    r"""Rank responses to align with human feedback (arXiv:2304.05302).

    Loss:
        $$-p_b + w \sum_{r_i < r_j} \max(0, p_i - p_j), \qquad p_i = \frac{1}{|y_i|} \log \pi(y_i \mid x)$$

        $b$: the best-rated answer, the first on ties; $r_i$: rating of an answer; $w$: ``weight``. Mean over questions.

    Suits:
        Several rated answers to each question, whose order can be believed but not their distances.

    Fails:
        How much better an answer is has no effect. Once answers are in the right order, only imitation is left.
    """

    name: ClassVar[str] = "rrhf"
    Settings: ClassVar[type[TrainingSettings]] = RRHFSettings
    settings: RRHFSettings

    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """See :func:`trainers.losses.rrhf_loss`; only the order of ratings matters. Shape [questions]."""
        del scale
        return rrhf_losses(nll, ratings, mask, weight=self.settings.weight)
