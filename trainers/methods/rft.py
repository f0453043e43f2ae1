"""Rejection fine-tuning: imitates the best share of the answers, by rating or reward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from sandbox.errors import TrainingDataError
from sandbox.typed_settings import between
from trainers.methods.sft import SFT
from trainers.rows.format import left_out_of, make_rows
from trainers.rows.kinds import RowKind
from trainers.rows.validation import rating_of, scale_of
from trainers.settings import TrainingSettings

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True, kw_only=True)
class RFTSettings(TrainingSettings):
    """Settings of rejection fine-tuning, in addition to those of all trainers.

    Attributes:
        best_share: Share of the answers that is imitated: those with the highest ratings. Answers rated like the last of them
            are imitated too.
    """

    best_share: Annotated[float, between(0, 1, "(]")] = 0.25


class RFT(SFT):
    r"""Rejection fine-tuning (rejection sampling, arXiv:2307.09288 section 3.2.3; RFT, arXiv:2308.01825).

    The best answers of the whole record are imitated, whatever their prompt; the others are rejected. Rows without ratings are
    ranked by their labels.

    Loss:
        $$-\frac{1}{N} \sum_{(x, y) : r(y) \geq q} \log \pi(y \mid x)$$

        $q$: the rating that the share ``best_share`` of all answers reaches; $N$: number of tokens of those answers.

    Suits:
        Records of a society with rewards or ratings that are comparable between questions; repeated with the trained model
        (``sandbox evolve``), it is a simple form of reinforcement learning.

    Fails:
        Easy questions crowd out hard ones, as answers of all questions compete. What was rated low is not used.
    """

    name: ClassVar[str] = "rft"
    accepts: ClassVar[RowKind] = RowKind.UNPAIRED
    Settings: ClassVar[type[TrainingSettings]] = RFTSettings
    settings: RFTSettings

    def select(self, rows: Dataset) -> Dataset:
        """The best share of the answers, as demonstrations.

        Raises:
            TrainingDataError: all answers are rated alike.
        """
        worth = [_worth(row) for row in rows]
        ordered = sorted(worth, reverse=True)
        least = ordered[math.ceil(self.settings.best_share * len(ordered) - 1e-9) - 1]
        if least == ordered[-1] and self.settings.best_share < 1:
            least = min((one for one in ordered if one > ordered[-1]), default=math.inf)
        if least == math.inf:
            raise TrainingDataError(
                f"trainer {self.name!r}: all {len(rows)} answers are rated alike, so none is better than another; use sft to "
                "imitate all, or record more rounds"
            )
        kept = [row for row, one in zip(rows, worth, strict=True) if one >= least]
        left_out = {**left_out_of(rows), "answers below the best share": len(rows) - len(kept)}
        return make_rows(RowKind.DEMONSTRATIONS, kept, left_out)


def _worth(row: Mapping[str, Any]) -> float:
    """Rating of an answer as a share of its scale, in [0, 1]; that of its label where it has none."""
    return (rating_of(row) - 1) / (scale_of(row) - 1)
