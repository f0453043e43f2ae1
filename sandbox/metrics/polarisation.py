"""Whether labels keep apart: in whom they review, in how they rate each other, in what they answer.

All functions take sums, with any number of axes before the labels', so that they serve a run and its resamples alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def assortativity(reviews: NDArray[np.float64]) -> Any:
    """How much reviews stay within labels, against what chance would do (Newman 2003, equation 2).

    Args:
        reviews: How many went from each label (reviewers) to each label (authors). Shape [..., labels, labels].

    Returns:
        1 when all stay within a label, 0 by chance, negative when they go to others. NaN where one label alone reviews
        and is reviewed. Shape [...].
    """
    if not reviews.shape[-1]:
        return np.full(reviews.shape[:-2], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = reviews / reviews.sum(axis=(-2, -1), keepdims=True)
        within = np.trace(share, axis1=-2, axis2=-1)
        chance = (share.sum(axis=-1) * share.sum(axis=-2)).sum(axis=-1)
        # 0/0 where one label is alone; sums of shares may miss 1 in the last bit.
        return np.where(1 - chance > 1e-12, (within - chance) / (1 - chance), np.nan)


def polarisation(ratings: NDArray[np.float64], total: NDArray[np.float64], scale: int) -> Any:
    """How much better labels rate their own kind than the other: affective polarisation.

    Iyengar, Sood and Lelkes (2012) take the rating given to one's own group minus that given to the other. Here that is
    averaged over both groups of a pair, ((GG - GB) + (BB - BG)) / 2, so that neither a label whose answers all find
    better nor one that rates all kindly counts as polarised; and over all pairs of labels that rated each other.

    Args:
        ratings: How many readable ratings went from each label (reviewers) to each label (authors). Shape
            [..., labels, labels].
        total: Their sum. Shape [..., labels, labels].
        scale: The highest rating; the lowest is 1.

    Returns:
        In [-1, 1]: 1 when each rates its own ``scale`` and the other 1, 0 when labels make no difference. NaN where no
        two labels rated themselves and each other. Shape [...].
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / ratings
    own = np.diagonal(mean, axis1=-2, axis2=-1)
    gaps = own[..., :, None] + own[..., None, :] - mean - np.swapaxes(mean, -1, -2)
    first, second = np.triu_indices(mean.shape[-1], k=1)
    pairs = gaps[..., first, second] / (2 * (scale - 1))
    known = ~np.isnan(pairs)
    with np.errstate(invalid="ignore"):
        return np.where(known, pairs, 0).sum(axis=-1) / known.sum(axis=-1)


def divergence(answers: NDArray[np.float64], total: NDArray[np.float64], squares: NDArray[np.float64]) -> Any:
    """How much of the difference between answers is one between labels.

    The share of the variance of ratings that lies between labels, epsilon squared (Kelley 1935): unlike the plain share
    (eta squared) it is near 0, not above it, when labels make no difference. Bramson et al. (2017) call groups that
    differ much from each other and little within "group divergence" and "group consensus".

    Args:
        answers: How many rated answers each label gave. Shape [..., labels].
        total: Sum of their ratings. Shape [..., labels].
        squares: Sum of their squared ratings. Shape [..., labels].

    Returns:
        1 when all answers of a label are rated alike and labels are not, about 0 when labels make no difference (it may
        be a little below). NaN where fewer than two labels answered, no label twice, or all ratings are equal.
        Shape [...].
    """
    n, k = answers.sum(axis=-1), (answers > 0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = (squares - np.where(answers > 0, total**2 / answers, 0)).sum(axis=-1)
        overall = squares.sum(axis=-1) - total.sum(axis=-1) ** 2 / n
        found = 1 - (within / (n - k)) / (overall / (n - 1))
        return np.where((k > 1) & (n > k) & (overall > 1e-9 * n), found, np.nan)
