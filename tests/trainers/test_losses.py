from __future__ import annotations

import itertools
import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trl_losses import dpo_loss, kto_loss, orpo_loss

from sandbox.errors import SettingsError, TrainingDataError
from trainers import stable_alignment_loss
from trainers.losses import (
    HINGES,
    REDUCTIONS,
    rrhf_loss,
    sequence_nll,
    simpo_loss,
    stable_alignment_losses,
)

pytestmark = pytest.mark.needs_torch


def tensors(nll, ratings, mask=None):
    nll = torch.tensor(nll, dtype=torch.float64, requires_grad=True)
    ratings = torch.tensor(ratings, dtype=torch.float64)
    mask = torch.ones_like(ratings, dtype=torch.bool) if mask is None else torch.tensor(mask)
    return nll, ratings, mask


def slow_loss(nll, ratings, scale, margin, weight, hinge, reduce):
    """The equation of the docstring for one question, in plain Python."""
    best = max(range(len(nll)), key=lambda i: (ratings[i], -i))
    differences = [
        nll[best] - nll[i] + (ratings[best] - ratings[i]) / scale * margin for i in range(len(nll)) if i != best
    ]
    if hinge == "pairwise":
        differences = [max(d, 0.0) for d in differences]
    if not differences:
        return nll[best]
    total = {"mean": sum(differences) / len(differences), "max": max(differences), "sum": sum(differences)}[reduce]
    return nll[best] + weight * max(total, 0.0)


def test_a_question_by_hand():
    """Three answers, the best in the middle: ratings 2, 6, 4 of 7, nll 1.0, 1.5, 3.0, margin 7, weight 0.5.

    hinge_0 = 1.5 - 1.0 + (6 - 2) / 7 * 7 = 4.5;  hinge_2 = 1.5 - 3.0 + (6 - 4) / 7 * 7 = 0.5
    mean 2.5, max 4.5, sum 5.0; loss = 1.5 + 0.5 * each = 2.75, 3.75, 4.0.
    """
    case = tensors([[1.0, 1.5, 3.0]], [[2.0, 6.0, 4.0]])
    for reduce, expected in [("mean", 2.75), ("max", 3.75), ("sum", 4.0)]:
        assert stable_alignment_loss(*case, margin=7.0, weight=0.5, reduce=reduce).item() == pytest.approx(expected)


def test_pooled_and_pairwise_differ_where_one_difference_is_negative():
    """Ratings 7, 4, 4 of 7, margin 7, weight 1, nll 1, 8, 2.

    hinge_1 = 1 - 8 + 3 = -4;  hinge_2 = 1 - 2 + 3 = 2
    pooled: mean -1, cut to 0, loss 1;  sum -2, loss 1;  max 2, loss 3
    pairwise: hinges 0 and 2; mean 1, loss 2;  sum 2, loss 3;  max 2, loss 3.
    """
    case = tensors([[1.0, 8.0, 2.0]], [[7.0, 4.0, 4.0]])
    expected = {
        ("pooled", "mean"): 1.0,
        ("pooled", "sum"): 1.0,
        ("pooled", "max"): 3.0,
        ("pairwise", "mean"): 2.0,
        ("pairwise", "sum"): 3.0,
        ("pairwise", "max"): 3.0,
    }
    for (hinge, reduce), value in expected.items():
        found = stable_alignment_loss(*case, margin=7.0, weight=1.0, hinge=hinge, reduce=reduce)
        assert found.item() == pytest.approx(value), (hinge, reduce)


def test_defaults_are_the_papers():
    """Scale 7, margin 10, weight 0.2: ratings 7 and 3.5, both nll 2: 2 + 0.2 * (3.5 / 7 * 10) = 3."""
    assert stable_alignment_loss(*tensors([[2.0, 2.0]], [[7.0, 3.5]])).item() == pytest.approx(3.0)


def test_the_margin_does_not_depend_on_the_order_of_the_answers():
    """The authors' code takes ratings from the sorted list by unsorted positions; each order gave another loss."""
    nll, ratings = [1.2, 0.7, 2.0, 0.9], [1.0, 7.0, 4.0, 2.0]
    losses = {
        round(stable_alignment_loss(*tensors([[nll[i] for i in order]], [[ratings[i] for i in order]])).item(), 12)
        for order in itertools.permutations(range(4))
    }
    assert len(losses) == 1


def test_the_first_of_equally_rated_answers_is_the_best():
    """Both rated 5: nll 1 and 3 gives 1 + 0.2 * max(1 - 3, 0) = 1; the other way round 3 + 0.2 * 2 = 3.4."""
    assert stable_alignment_loss(*tensors([[1.0, 3.0]], [[5.0, 5.0]])).item() == pytest.approx(1.0)
    assert stable_alignment_loss(*tensors([[3.0, 1.0]], [[5.0, 5.0]])).item() == pytest.approx(3.4)


def test_a_single_answer_is_imitated_and_nothing_else():
    """No other answer, so the loss is its nll and the gradient 1, for every hinge and reduction."""
    for hinge, reduce in itertools.product(HINGES, REDUCTIONS):
        nll, ratings, mask = tensors([[2.5, math.nan]], [[6.0, math.nan]], [[True, False]])
        loss = stable_alignment_loss(nll, ratings, mask, hinge=hinge, reduce=reduce)
        loss.backward()
        assert loss.item() == 2.5
        assert nll.grad.tolist() == [[1.0, 0.0]]


def test_mean_over_questions_with_their_own_scales():
    """Margin 10, weight 0.2. First of scale 7: 1 + 0.2 * (7 - 0) / 7 * 10 = 3, with ratings 7 and 0 and equal nll.

    Second of scale 10: 1 + 0.2 * (10 - 5) / 10 * 10 = 2. Mean 2.5.
    """
    case = tensors([[1.0, 1.0], [1.0, 1.0]], [[7.0, 0.0], [10.0, 5.0]])
    assert stable_alignment_loss(*case, scale=torch.tensor([7.0, 10.0])).item() == pytest.approx(2.5)
    assert stable_alignment_losses(*case, scale=torch.tensor([7.0, 10.0])).tolist() == pytest.approx([3.0, 2.0])


def test_gradient_by_hand():
    """Pooled mean of two active hinges, weight 0.2: d/d nll_b = 1 + 0.2, d/d nll_i = -0.2 / 2."""
    nll, ratings, mask = tensors([[1.0, 1.5, 2.0]], [[7.0, 4.0, 1.0]])
    stable_alignment_loss(nll, ratings, mask).backward()
    assert nll.grad.tolist() == [pytest.approx([1.2, -0.1, -0.1])]


@pytest.mark.parametrize("hinge", HINGES)
@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_agrees_with_the_slow_equation_and_its_gradient(hinge, reduce):
    """Random batches with answers missing; what stands in their place, NaN too, changes nothing."""
    draw = random.Random(7)
    for _ in range(20):
        questions = [
            [(draw.uniform(0.1, 6.0), draw.choice([1.0, 2.5, 4.0, 4.0, 7.0])) for _ in range(draw.randint(1, 5))]
            for _ in range(4)
        ]
        margin, weight, scale = draw.uniform(0, 12), draw.uniform(0, 1), draw.choice([7.0, 10.0])
        expected = [slow_loss(*zip(*q, strict=True), scale, margin, weight, hinge, reduce) for q in questions]
        padded = [q + [(math.nan, math.nan)] * (5 - len(q)) for q in questions]
        nll, ratings, mask = tensors(
            [[n for n, _ in q] for q in padded],
            [[r for _, r in q] for q in padded],
            [[i < len(q) for i in range(5)] for q in questions],
        )
        given_ = {"scale": scale, "margin": margin, "weight": weight, "hinge": hinge, "reduce": reduce}
        found = stable_alignment_loss(nll, ratings, mask, **given_)
        assert found.item() == pytest.approx(sum(expected) / 4, abs=1e-9)
        clean = nll.detach().nan_to_num(0.0).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda n, r=ratings, m=mask, s=given_: stable_alignment_loss(n, r, m, **s), (clean,)
        )


def test_refuses_a_question_without_rated_answers():
    nll, ratings, mask = tensors([[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]], [[True, True], [False, False]])
    with pytest.raises(TrainingDataError, match="question 1 of the batch has no rated answer"):
        stable_alignment_loss(nll, ratings, mask)


def test_refuses_other_shapes_and_words():
    nll, ratings, mask = tensors([[1.0, 2.0]], [[1.0, 2.0]])
    with pytest.raises(TrainingDataError, match=r"nll \[2\], ratings \[1, 2\]"):
        stable_alignment_loss(nll[0], ratings, mask)
    with pytest.raises(SettingsError, match="hinge is one of pooled, pairwise"):
        stable_alignment_loss(nll, ratings, mask, hinge="mean")


def test_sequence_nll_is_a_mean_over_each_answers_own_tokens():
    """Answer 0 owns 1 and 3, mean 2; answer 1 owns 4 alone; answer 2 owns 0, 0 and 6, mean 2."""
    tokens = torch.tensor([1.0, 4.0, 3.0, 0.0, 0.0, 6.0])
    owner = torch.tensor([0, 1, 0, 2, 2, 2])
    assert sequence_nll(tokens, owner, 3).tolist() == [2.0, 4.0, 2.0]


def test_rrhf_by_hand():
    """Ratings 6, 2, 4; nll 1.5, 1.0, 3.0, so p = -1.5, -1.0, -3.0. The best is the first.

    Pairs, worse before better: (2, 6): max(0, -1.0 + 1.5) = 0.5;  (4, 6): max(0, -3.0 + 1.5) = 0;
    (2, 4): max(0, -1.0 + 3.0) = 2.0. In all 2.5; loss 1.5 + 2.5 = 4.0, with weight 0.1 1.75.
    Gradient to nll: imitation +1 at 0; pair (2, 6): +1 at 0, -1 at 1; pair (2, 4): -1 at 1, +1 at 2.
    """
    nll, ratings, mask = tensors([[1.5, 1.0, 3.0]], [[6.0, 2.0, 4.0]])
    loss = rrhf_loss(nll, ratings, mask)
    loss.backward()
    assert loss.item() == pytest.approx(4.0)
    assert nll.grad.tolist() == [pytest.approx([2.0, -2.0, 1.0])]
    assert rrhf_loss(nll, ratings, mask, weight=0.1).item() == pytest.approx(1.75)


def test_rrhf_has_no_pairs_of_answers_rated_alike():
    """Both 5: nll 3 of the first is imitated, whatever the second's. Ratings' sizes do not count: 7 and 1 as 5 and 4."""
    assert rrhf_loss(*tensors([[3.0, 1.0]], [[5.0, 5.0]])).item() == pytest.approx(3.0)
    far = rrhf_loss(*tensors([[3.0, 1.0]], [[7.0, 1.0]]))
    assert far.item() == rrhf_loss(*tensors([[3.0, 1.0]], [[5.0, 4.0]])).item() == pytest.approx(5.0)


def test_rrhf_agrees_with_the_slow_equation_and_its_gradient():
    draw = random.Random(11)
    for _ in range(20):
        sizes = [draw.randint(1, 5) for _ in range(4)]
        questions = [[(draw.uniform(0.1, 6.0), draw.choice([1.0, 4.0, 4.0, 7.0])) for _ in range(n)] for n in sizes]
        weight, expected = draw.uniform(0, 3), 0.0
        for question in questions:
            best = max(range(len(question)), key=lambda i, q=question: (q[i][1], -i))
            pairs = itertools.permutations(question, 2)
            expected += question[best][0] + weight * sum(max(0.0, b[0] - a[0]) for a, b in pairs if a[1] < b[1])
        padded = [q + [(math.nan, math.nan)] * (5 - len(q)) for q in questions]
        nll, ratings, mask = tensors(
            [[n for n, _ in q] for q in padded],
            [[r for _, r in q] for q in padded],
            [[i < len(q) for i in range(5)] for q in questions],
        )
        assert rrhf_loss(nll, ratings, mask, weight=weight).item() == pytest.approx(expected / 4, abs=1e-9)
        clean = nll.detach().nan_to_num(0.0).requires_grad_()
        assert torch.autograd.gradcheck(lambda n, r=ratings, m=mask, w=weight: rrhf_loss(n, r, m, weight=w), (clean,))


def test_dpo_by_hand():
    """Log-ratios 2 and -1, beta 0.5: margin 1.5. -log sigmoid(1.5) = log(1 + e^-1.5) = 0.201413.

    Smoothed by 0.1: (0.9 * 0.201413 - 0.1 * log(1 + e^1.5)) / 0.8 = (0.181272 - 0.1 * 1.701413) / 0.8 = 0.013913.
    Where policy and reference agree: log 2. Gradient to the chosen ratio: -beta * sigmoid(-1.5) = -0.0912127.
    """
    chosen, rejected = torch.tensor([2.0], requires_grad=True), torch.tensor([-1.0])
    loss = dpo_loss(chosen, rejected, beta=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(0.201413, abs=1e-6)
    assert chosen.grad.item() == pytest.approx(-0.0912127, abs=1e-6)
    assert dpo_loss(chosen, rejected, beta=0.5, label_smoothing=0.1).item() == pytest.approx(0.013913, abs=1e-6)
    assert dpo_loss(torch.zeros(3), torch.zeros(3)).item() == pytest.approx(math.log(2))


def test_kto_by_hand():
    """Mismatched ratios 1 and 2: z = 1.5. beta 0.5; a good answer at 2.5: gain 0.5, 1 - sigmoid(0.5) = 0.377541.

    A bad one at 0.5: gain -0.5, 1 - sigmoid(0.5) = 0.377541, weighed 2: 0.755081. Mean 0.566311.
    Below zero z is 0: ratio 0 then costs 1/2 either way.
    """
    case = torch.tensor([2.5, 0.5]), torch.tensor([True, False])
    assert kto_loss(*case, torch.tensor([1.0, 2.0]), beta=0.5, bad_weight=2.0).item() == pytest.approx(
        0.566311, abs=1e-6
    )
    assert kto_loss(torch.zeros(2), case[1], torch.tensor([-3.0])).item() == pytest.approx(0.5)
    mismatched = torch.tensor([1.0], requires_grad=True)
    kto_loss(case[0].requires_grad_(), case[1], mismatched).backward()
    assert mismatched.grad is None


def test_orpo_by_hand():
    """P = 1/2 and 1/4: odds 1 and 1/3, log odds apart by log 3; log sigmoid(log 3) = log(3/4) = -0.287682.

    Imitation 0.7, beta 0.5: 0.7 + 0.5 * 0.287682 = 0.843841.
    """
    chosen, rejected = torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)])
    assert orpo_loss(torch.tensor(0.7), chosen, rejected, beta=0.5).item() == pytest.approx(0.843841, abs=1e-6)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_the_losses_of_pairs_agree_with_slow_equations_and_their_gradients(data):
    """Plain Python, answer by answer; gradients by finite differences."""
    n = data.draw(st.integers(1, 4))
    ratio = st.floats(-5, 5)
    chosen, rejected = (data.draw(st.lists(ratio, min_size=n, max_size=n)) for _ in range(2))
    beta, smooth = data.draw(st.floats(0.01, 1)), data.draw(st.floats(0, 0.4))
    good = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    weights = {"good_weight": data.draw(st.floats(0, 2)), "bad_weight": data.draw(st.floats(0, 2))}
    c, r = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (chosen, rejected))
    below = [[-0.05 - abs(x) for x in side] for side in (chosen, rejected)]
    p, q = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in below)

    margins = [beta * (a - b) for a, b in zip(chosen, rejected, strict=True)]
    slow = sum(-(1 - smooth) * math.log(sigmoid(m)) + smooth * math.log(sigmoid(-m)) for m in margins) / n
    slow /= 1 - 2 * smooth
    assert dpo_loss(c, r, beta=beta, label_smoothing=smooth).item() == pytest.approx(slow, abs=1e-9)
    assert torch.autograd.gradcheck(lambda a, b: dpo_loss(a, b, beta=beta, label_smoothing=smooth), (c, r))

    z = max(0.0, sum(rejected) / n)
    costs = [
        weights["good_weight"] * (1 - sigmoid(beta * (x - z)))
        if is_good
        else weights["bad_weight"] * (1 - sigmoid(beta * (z - x)))
        for x, is_good in zip(chosen, good, strict=True)
    ]
    label, mismatched = torch.tensor(good), r.detach()
    assert kto_loss(c, label, mismatched, beta=beta, **weights).item() == pytest.approx(sum(costs) / n, abs=1e-9)
    assert torch.autograd.gradcheck(lambda a: kto_loss(a, label, mismatched, beta=beta, **weights), (c,))

    odds = [[math.exp(x) / (1 - math.exp(x)) for x in side] for side in below]
    ratios = [math.log(sigmoid(math.log(a / b))) for a, b in zip(*odds, strict=True)]
    assert orpo_loss(p.sum(), p, q, beta=beta).item() == pytest.approx(sum(below[0]) - beta * sum(ratios) / n, abs=1e-9)
    assert torch.autograd.gradcheck(lambda a, b: orpo_loss(a.sum(), a, b, beta=beta), (p, q))


def test_simpo_by_hand():
    """Better answer 1.0 nats a token, worse 2.0; beta 2, margin 1: ahead by 2 * (2 - 1) - 1 = 1.

    Loss -log sigmoid(1) = log(1 + e^-1) = 0.313262; gradient beta * sigmoid(-1) = 2 * 0.268941 at the better one, and its
    negative at the worse one. With the ratings the other way round ahead by -3: log(1 + e^3) = 3.048587.
    """
    nll, ratings, mask = tensors([[1.0, 2.0]], [[6.0, 3.0]])
    loss = simpo_loss(nll, ratings, mask, beta=2.0, margin=1.0)
    loss.backward()
    assert loss.item() == pytest.approx(0.313262, abs=1e-6)
    assert nll.grad.tolist() == [pytest.approx([0.537883, -0.537883], abs=1e-6)]
    assert simpo_loss(*tensors([[1.0, 2.0]], [[3.0, 6.0]])).item() == pytest.approx(3.048587, abs=1e-6)


def test_simpo_means_pairs_and_ignores_padding_and_ties():
    """Ratings 6, 4, 4: two pairs, ahead by 1 and 3 with margin 1: (0.313262 + 0.048587) / 2; a lone answer gives 0."""
    nan = math.nan
    case = tensors(
        [[1.0, 2.0, 3.0], [5.0, nan, nan]], [[6.0, 4.0, 4.0], [7.0, nan, nan]], [[True] * 3, [True, False, False]]
    )
    loss = simpo_loss(*case)
    loss.backward()
    assert loss.item() == pytest.approx((0.313262 + 0.048587) / 2 / 2, abs=1e-6)
    assert case[0].grad[1].tolist() == [0.0, 0.0, 0.0]
