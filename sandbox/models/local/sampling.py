"""Seeded sampling: the reply to a request depends on its seed, not on its batch.

Noise is a hash of (seed, position, token), without a stateful generator, so that requests can be permuted, batched and
repeated.

The Gumbel-max trick makes sampling an argmax: if g_i are independent Gumbel(0, 1), then argmax_i (logit_i / T + g_i) is a
sample of softmax(logit / T) (Gumbel 1954; Maddison et al., A* Sampling, arXiv:1411.0030, section 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def signed(seed: int) -> int:
    """Reduce an integer to a signed 64-bit one, as torch requires."""
    low = seed & 0xFFFF_FFFF_FFFF_FFFF
    return low - (1 << 64) if low >> 63 else low


_GOLDEN = signed(0x9E37_79B9_7F4A_7C15)
_MIX_1 = signed(0xBF58_476D_1CE4_E5B9)
_MIX_2 = signed(0x94D0_49BB_1331_11EB)


def splitmix64(x: Tensor) -> Tensor:
    """Hash 64-bit integers, element by element.

    The finaliser of Steele, Lea and Flood's SplitMix (OOPSLA 2014; https://prng.di.unimi.it/splitmix64.c), with
    wrapping arithmetic.

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
        seeds: Seed of each request. int64 [batch].
        positions: Position of the token in its reply, from 0. int64 [batch].
        tokens: Token ids. int64 [batch, candidates].

    Returns:
        float64 [batch, candidates].
    """
    row = splitmix64(splitmix64(seeds) ^ positions)
    bits = splitmix64(row[:, None] ^ tokens)
    # The 53 highest bits plus half a step: a number strictly between 0 and 1.
    uniform = (((bits >> 11) & 0x1F_FFFF_FFFF_FFFF).double() + 0.5) * 2.0**-53
    return -(-uniform.log()).log()


def sample(
    logits: Tensor, *, seeds: Tensor, positions: Tensor, temperature: Tensor, top_p: Tensor, top_k: int
) -> Tensor:
    """Draw one token for every request.

    Args:
        logits: Logits of the next token. Floating point [batch, vocabulary].
        seeds: Seed of each request. int64 [batch].
        positions: Position of the token in its reply, from 0. int64 [batch].
        temperature: Sampling temperature; 0 is greedy decoding. float [batch], each >= 0.
        top_p: Sample from the smallest set of tokens with this probability; the most probable token is always in it.
            float [batch], each in (0, 1].
        top_k: Sample from this many most probable tokens, several times faster than from the whole vocabulary; 0 samples
            from all.

    Returns:
        Token ids. int64 [batch].
    """
    import torch

    size = logits.shape[-1]
    values, tokens = logits.float().topk(min(top_k, size) if top_k else size)  # [batch, candidates], descending
    is_greedy = temperature <= 0
    heat = torch.where(is_greedy, 1.0, temperature.float())[:, None]
    scaled = values / heat
    if bool((top_p < 1).any()):
        whole = torch.logsumexp(logits.float() / heat, dim=-1, keepdim=True)
        probability = (scaled - whole).exp()
        before = probability.cumsum(dim=-1) - probability
        # The first candidate always stays; rounding must not exclude it.
        before[:, 0] = -1.0
        scaled = scaled.masked_fill(before >= top_p.float()[:, None], -torch.inf)
    noise = gumbel_noise(seeds, positions, tokens)
    scores = scaled.double() + noise.masked_fill(is_greedy[:, None], 0.0)
    return tokens.gather(1, scores.argmax(dim=-1, keepdim=True)).squeeze(1)
