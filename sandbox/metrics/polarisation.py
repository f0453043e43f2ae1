"""Separation of labels: in reviews (assortativity), in ratings of each other (polarisation), in answers (divergence).

All functions take sums with any number of leading axes, so that they apply to a run and its resamples alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def assortativity(reviews: NDArray[np.float64]) -> Any:
    """Assortativity of reviews by label: how much they stay within labels, relative to chance (Newman 2003, equation 2).

    Args:
        reviews: Number of reviews from each label (reviewers) to each label (authors). Shape [..., labels, labels].

    Returns:
        1 if all stay within labels, 0 by chance, negative if they go to other labels. NaN if a single label reviews and is
        reviewed. Shape [...].
    """
    if not reviews.shape[-1]:
        return np.full(reviews.shape[:-2], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = reviews / reviews.sum(axis=(-2, -1), keepdims=True)
        within = np.trace(share, axis1=-2, axis2=-1)
        chance = (share.sum(axis=-1) * share.sum(axis=-2)).sum(axis=-1)
        # 0/0 with a single label; sums of shares may differ from 1 in the last bit.
        return np.where(1 - chance > 1e-12, (within - chance) / (1 - chance), np.nan)


def polarisation(ratings: NDArray[np.float64], total: NDArray[np.float64], scale: int) -> Any:
    """Affective polarisation: how much higher labels rate themselves than each other.

    Iyengar, Sood and Lelkes (2012) take the rating given to one's own group minus that given to the other. Here that is
    averaged over both groups of a pair, ((GG - GB) + (BB - BG)) / 2, so that neither a label whose answers everyone rates
    higher nor one that rates everyone higher counts as polarised; and over all pairs of labels that rated each other.

    Args:
        ratings: Number of readable ratings from each label (reviewers) to each label (authors). Shape
            [..., labels, labels].
        total: Their sum. Shape [..., labels, labels].
        scale: The highest rating; the lowest is 1.

    Returns:
        In [-1, 1]: 1 if each label rates itself ``scale`` and the other 1, 0 if labels make no difference. NaN if no two
        labels rated themselves and each other. Shape [...].
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
    """Share of the variance of ratings that is between labels.

    Epsilon squared (Kelley 1935), which unlike eta squared is unbiased: near 0 if labels make no difference. Bramson et al.
    (2017) call large differences between groups "group divergence", and small ones within a group "group consensus".

    Args:
        answers: Number of rated answers of each label. Shape [..., labels].
        total: Sum of their ratings. Shape [..., labels].
        squares: Sum of their squared ratings. Shape [..., labels].

    Returns:
        1 if ratings are equal within labels and differ between them, about 0 (possibly below) if labels make no
        difference. NaN if fewer than two labels answered, no label answered twice, or all ratings are equal.
        Shape [...].
    """
    n, k = answers.sum(axis=-1), (answers > 0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        within = (squares - np.where(answers > 0, total**2 / answers, 0)).sum(axis=-1)
        overall = squares.sum(axis=-1) - total.sum(axis=-1) ** 2 / n
        found = 1 - (within / (n - k)) / (overall / (n - 1))
        return np.where((k > 1) & (n > k) & (overall > 1e-9 * n), found, np.nan)
