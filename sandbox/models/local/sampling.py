"""Seeded sampling: what a request is told depends on its own seed alone, whatever batch it is part of.

Noise comes from a hash of (seed, position, token), never from a generator with a state; so requests can be
permuted, batched and repeated at will. The Gumbel-max trick makes one argmax of it: if g_i are independent
Gumbel(0, 1), then argmax_i (logit_i / T + g_i) is drawn from softmax(logit / T) (Gumbel 1954; Maddison et al.,
A* Sampling, arXiv:1411.0030, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def signed(seed: int) -> int:
    """Fold any integer into the 64 signed bits that torch can hold."""
    low = seed & 0xFFFF_FFFF_FFFF_FFFF
    return low - (1 << 64) if low >> 63 else low


_GOLDEN = signed(0x9E37_79B9_7F4A_7C15)
_MIX_1 = signed(0xBF58_476D_1CE4_E5B9)
_MIX_2 = signed(0x94D0_49BB_1331_11EB)


def splitmix64(x: Tensor) -> Tensor:
    """Hash 64-bit integers, element by element.

    The finaliser of Steele, Lea and Flood's SplitMix (OOPSLA 2014; https://prng.di.unimi.it/splitmix64.c), in
    arithmetic that wraps around.

    Args:
        x: int64, any shape.

    Returns:
        int64, the same shape.
    """
    z = x + _GOLDEN
    # torch shifts signed numbers arithmetically; the mask makes the shift logical.
    z = (z ^ ((z >> 30) & 0x3_FFFF_FFFF)) * _MIX_1
    z = (z ^ ((z >> 27) & 0x1F_FFFF_FFFF)) * _MIX_2
    return z ^ ((z >> 31) & 0x1_FFFF_FFFF)


def gumbel_noise(seeds: Tensor, positions: Tensor, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise for every (seed, position, token).

    Args:
        seeds: One for each request. int64 [batch].
        positions: Number of the token in its reply, from 0. int64 [batch].
        tokens: Token numbers. int64 [batch, candidates].

    Returns:
        float64 [batch, candidates].
    """
    row = splitmix64(splitmix64(seeds) ^ positions)
    bits = splitmix64(row[:, None] ^ tokens)
    # The 53 highest bits, and half a step, give a number strictly between 0 and 1.
    uniform = (((bits >> 11) & 0x1F_FFFF_FFFF_FFFF).double() + 0.5) * 2.0**-53
    return -(-uniform.log()).log()


def sample(
    logits: Tensor, *, seeds: Tensor, positions: Tensor, temperature: Tensor, top_p: Tensor, top_k: int
) -> Tensor:
    """Draw one token for every request.

    Args:
        logits: Of the next token. Floating point [batch, vocabulary].
        seeds: int64 [batch].
        positions: Number of the token in its reply, from 0. int64 [batch].
        temperature: 0 takes the likeliest token. float [batch], each >= 0.
        top_p: Only the smallest set of tokens that holds this much of the whole distribution's probability is drawn
            from; the likeliest token always is in it. float [batch], each in (0, 1].
        top_k: Only that many likeliest tokens are drawn from, which cuts off the distribution's tail and is several
            times faster than the whole vocabulary; 0 draws from all.

    Returns:
        Token numbers. int64 [batch].
    """
    import torch

    size = logits.shape[-1]
    values, tokens = logits.float().topk(min(top_k, size) if top_k else size)  # [batch, candidates], falling
    is_greedy = temperature <= 0
    heat = torch.where(is_greedy, 1.0, temperature.float())[:, None]
    scaled = values / heat
    if bool((top_p < 1).any()):
        whole = torch.logsumexp(logits.float() / heat, dim=-1, keepdim=True)
        probability = (scaled - whole).exp()
        before = probability.cumsum(dim=-1) - probability
        # The first candidate has nothing before it, so it stays; rounding must not push it out.
        before[:, 0] = -1.0
        scaled = scaled.masked_fill(before >= top_p.float()[:, None], -torch.inf)
    noise = gumbel_noise(seeds, positions, tokens)
    scores = scaled.double() + noise.masked_fill(is_greedy[:, None], 0.0)
    return tokens.gather(1, scores.argmax(dim=-1, keepdim=True)).squeeze(1)
