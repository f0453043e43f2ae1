"""Stable alignment: imitation of the best-rated answer, plus a margin proportional to rating differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from sandbox.typed_settings import at_least
from trainers.finetuning.ranked import RankedFineTuning, RankingSettings
from trainers.losses import stable_alignment_losses
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class StableAlignmentSettings(RankingSettings):
    """Settings of stable alignment, in addition to those of all trainers on ranked rows.

    Attributes:
        margin: Margin for a difference of the whole scale, in nats per token.
        weight: Weight of the contrast, relative to the imitation.
        hinge: ``pooled`` as in the authors' code, or ``pairwise`` as in the paper's equation.
        reduce: Reduction of the differences of a question: ``mean``, ``max`` or ``sum``.
    """

    margin: Annotated[float, at_least(0)] = 10.0
    weight: Annotated[float, at_least(0)] = 0.2
    hinge: Literal["pooled", "pairwise"] = "pooled"
    reduce: Literal["mean", "max", "sum"] = "mean"


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
