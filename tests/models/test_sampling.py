from __future__ import annotations

import random

import pytest
import torch

from sandbox.models.local.sampling import gumbel_noise, sample, signed, splitmix64

pytestmark = pytest.mark.needs_torch

MASK = (1 << 64) - 1


def splitmix64_in_whole_numbers(x: int) -> int:
    """The published C code, in Python's unbounded integers."""
    z = (x + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def draw(
    logits: list[float], seeds: list[int], *, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0
) -> list[int]:
    n = len(seeds)
    return sample(
        torch.tensor([logits] * n),
        seeds=torch.tensor([signed(s) for s in seeds]),
        positions=torch.zeros(n, dtype=torch.long),
        temperature=torch.full((n,), temperature),
        top_p=torch.full((n,), top_p),
        top_k=top_k,
    ).tolist()


def test_splitmix64_gives_the_published_numbers() -> None:
    """First outputs of the reference generator from states 0 and 1234567 (0xE220A8397B1DCDAF; 6457827717110365317)."""
    got = splitmix64(torch.tensor([0, 1234567])).tolist()
    assert [g & MASK for g in got] == [0xE220A8397B1DCDAF, 6457827717110365317]


def test_splitmix64_agrees_with_unbounded_integers_everywhere() -> None:
    numbers = [random.Random(i).getrandbits(64) for i in range(200)] + [MASK, 1 << 63, (1 << 63) - 1]
    got = splitmix64(torch.tensor([signed(n) for n in numbers])).tolist()
    assert [g & MASK for g in got] == [splitmix64_in_whole_numbers(n) for n in numbers]


@pytest.mark.parametrize(
    ("seed", "folded"), [(0, 0), (-1, -1), ((1 << 64) - 1, -1), (1 << 63, -(1 << 63)), (1 << 64, 0)]
)
def test_any_integer_is_a_seed(seed: int, folded: int) -> None:
    assert signed(seed) == folded


def test_noise_is_gumbel() -> None:
    """A standard Gumbel variable has mean 0.5772 (Euler's constant) and variance pi^2/6 = 1.6449.

    Of n = 200,000 draws the mean has standard error sqrt(1.6449 / n) = 0.0029; five of them are allowed.
    """
    noise = gumbel_noise(torch.arange(2000), torch.zeros(2000, dtype=torch.long), torch.arange(100).repeat(2000, 1))
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.0143)
    assert noise.var().item() == pytest.approx(1.6449, rel=0.03)


def test_noise_differs_by_seed_position_and_token() -> None:
    tokens = torch.tensor([[3, 4]])
    noise = {
        round(value, 12)
        for seed in range(5)
        for position in range(5)
        for value in gumbel_noise(torch.tensor([seed]), torch.tensor([position]), tokens)[0].tolist()
    }
    assert len(noise) == 50


def test_tokens_come_as_often_as_the_model_says() -> None:
    """softmax(log 0.5, log 0.3, log 0.2) is 0.5, 0.3, 0.2.

    Chi-square with 2 degrees of freedom exceeds 18.4 once in 10,000 experiments.
    """
    n, expected = 20_000, [0.5, 0.3, 0.2]
    drawn = draw(torch.tensor(expected).log().tolist(), list(range(n)))
    counts = [drawn.count(token) for token in range(3)]
    assert sum((c - n * p) ** 2 / (n * p) for c, p in zip(counts, expected, strict=True)) < 18.4


def test_temperature_sharpens() -> None:
    """At temperature 1/2 the probabilities 0.5, 0.3, 0.2 are squared: 0.25, 0.09, 0.04 over 0.38, so 0.658 first.

    The standard error of a share of 20,000 is 0.0034; five of them are allowed.
    """
    drawn = draw(torch.tensor([0.5, 0.3, 0.2]).log().tolist(), list(range(20_000)), temperature=0.5)
    assert drawn.count(0) / 20_000 == pytest.approx(0.658, abs=0.017)


def test_top_p_draws_from_the_smallest_set_that_holds_it() -> None:
    """Of 0.5, 0.3, 0.2: the first two hold 0.8, so 0.79 wants both, 0.81 all three and 0.4 only the first."""
    logits = torch.tensor([0.3, 0.5, 0.2]).log().tolist()
    seeds = list(range(500))
    assert set(draw(logits, seeds, top_p=0.79)) == {0, 1}
    assert set(draw(logits, seeds, top_p=0.81)) == {0, 1, 2}
    assert set(draw(logits, seeds, top_p=0.4)) == {1}


def test_top_p_is_of_the_whole_distribution_even_if_top_k_cuts_it() -> None:
    """Of 0.4, 0.35, 0.25 the first two hold 0.75 of all, but all of what top_k=2 leaves; at top_p 0.5 both stay
    (the first alone holds 0.4), where 0.4 / 0.75 = 0.53 of the two would be enough alone."""
    logits = torch.tensor([0.4, 0.35, 0.25]).log().tolist()
    assert set(draw(logits, list(range(300)), top_p=0.5, top_k=2)) == {0, 1}


def test_top_k_draws_from_the_likeliest() -> None:
    assert set(draw([0.0, 1.0, 0.9, 0.8], list(range(500)), top_k=2)) == {1, 2}


def test_temperature_zero_is_greedy_and_takes_no_notice_of_seeds() -> None:
    assert set(draw([0.0, 0.2, 0.1], list(range(100)), temperature=0.0)) == {1}


def test_a_row_draws_the_same_in_any_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, 50, generator=generator)
    seeds, positions = torch.arange(16) * 7919, torch.arange(16)

    def run(rows: list[int]) -> list[int]:
        index = torch.tensor(rows)
        heat, p = torch.full((len(rows),), 0.8), torch.full((len(rows),), 0.9)
        return sample(
            logits[index], seeds=seeds[index], positions=positions[index], temperature=heat, top_p=p, top_k=20
        ).tolist()

    together = run(list(range(16)))
    assert run(list(reversed(range(16)))) == together[::-1]
    assert [run([row])[0] for row in range(16)] == together
