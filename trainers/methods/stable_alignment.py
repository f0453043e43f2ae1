"""Stable alignment: imitate the best-rated answer, and keep the others behind it by what their ratings lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from trainers.finetuning.ranked import RankedFineTuning, RankingSettings
from trainers.losses import HINGES, REDUCTIONS, stable_alignment_losses
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StableAlignmentSettings(RankingSettings):
    """Settings of stable alignment, beside those of all trainers on ranked rows.

    Attributes:
        margin: Nats per token that the whole scale is worth.
        weight: Of the contrast beside the imitation.
        hinge: ``pooled`` as in the authors' code, or ``pairwise`` as in the paper's equation.
        reduce: How the differences of a question become one number: ``mean``, ``max`` or ``sum``.
    """

    margin: float = 10.0
    weight: float = 0.2
    hinge: Literal["pooled", "pairwise"] = "pooled"
    reduce: Literal["mean", "max", "sum"] = "mean"

    def faults(self) -> list[str]:
        """What cannot be used, one line each."""
        return [
            *super().faults(),
            *self.below(0, "margin", "weight"),
            *self.unknown("hinge", *HINGES),
            *self.unknown("reduce", *REDUCTIONS),
        ]


class StableAlignment(RankedFineTuning):
    """Contrastive preference optimisation with a rating margin (arXiv:2305.16960)."""

    name: ClassVar[str] = "stable_alignment"
    Settings: ClassVar[type[TrainingSettings]] = StableAlignmentSettings
    settings: StableAlignmentSettings

    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """See :func:`trainers.losses.stable_alignment_loss`. Shape [questions]."""
        s = self.settings
        return stable_alignment_losses(
            nll, ratings, mask, scale=scale, margin=s.margin, weight=s.weight, hinge=s.hinge, reduce=s.reduce
        )
