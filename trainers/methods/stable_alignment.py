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
    r"""Contrastive preference optimisation with a rating margin (arXiv:2305.16960).

    Loss:
        $$-p_b + w \max\left( 0, \frac{1}{n} \sum_{i \neq b} \left( p_i - p_b + \frac{r_b - r_i}{R} m \right) \right),
        \qquad p_i = \frac{1}{|y_i|} \log \pi(y_i \mid x)$$

        $b$: the best-rated answer, the first on ties; $r_i$: rating of one of the $n$ others; $R$: the highest rating of the
        scale; $m$: ``margin``; $w$: ``weight``. Mean over questions. With ``hinge=pairwise`` each difference is cut at 0 before
        the mean; ``reduce`` takes the largest, or the sum, in place of the mean.

    Suits:
        Records of a society: drafts, revisions and ratings of several answers to one question, whose distances mean something.

    Fails:
        Ratings that are noise push answers apart that are alike; with a large ``weight`` or ``margin`` bad answers become
        unlikely faster than good ones likely, and replies degenerate; watch ``nll_best`` and ``kl``.
    """

    name: ClassVar[str] = "stable_alignment"
    Settings: ClassVar[type[TrainingSettings]] = StableAlignmentSettings
    settings: StableAlignmentSettings

    def losses(self, nll: Tensor, ratings: Tensor, mask: Tensor, scale: Tensor) -> Tensor:
        """See :func:`trainers.losses.stable_alignment_loss`. Shape [questions]."""
        s = self.settings
        return stable_alignment_losses(
            nll, ratings, mask, scale=scale, margin=s.margin, weight=s.weight, hinge=s.hinge, reduce=s.reduce
        )
