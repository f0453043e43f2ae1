"""RRHF: imitate the best-rated answer, and put the likelihoods of all answers into the order of their ratings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trainers.finetuning.ranked import RankedFineTuning, RankingSettings
from trainers.losses import rrhf_losses
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class RRHFSettings(RankingSettings):
    """Settings of RRHF, beside those of all trainers on ranked rows.

    Attributes:
        weight: Of the ranking beside the imitation.
    """

    weight: float = 1.0

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        return [*super().faults(), *self.below(0, "weight")]


class RRHF(RankedFineTuning):
    """Rank responses to align with human feedback (arXiv:2304.05302)."""

    name: ClassVar[str] = "rrhf"
    Settings: ClassVar[type[TrainingSettings]] = RRHFSettings
    settings: RRHFSettings

    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """See :func:`trainers.losses.rrhf_loss`; how far ratings lie apart has no part in it. Shape [questions]."""
        del scale
        return rrhf_losses(nll, ratings, mask, weight=self.settings.weight)
