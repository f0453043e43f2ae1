from __future__ import annotations

from collections import Counter

import pytest

from sandbox.errors import SettingsError
from trainers.rows.candidates import Candidate, Group
from trainers.rows.selection import Selection, select


def group(prompt, *ratings, part="imitation", scale=7.0):
    candidates = tuple(Candidate(f"{prompt}{i}", rating) for i, rating in enumerate(ratings))
    return Group(part, prompt, (("user", prompt),), scale, candidates)


def chosen(groups, **settings):
    left_out: Counter[str] = Counter()
    kept = select(groups, Selection(**settings), left_out)
    return [(g.question, [c.rating for c in g.candidates]) for g in kept], +left_out


def test_candidates_stand_best_first():
    assert chosen([group("Q", 2.0, 6.0, 4.0)])[0] == [("Q", [6.0, 4.0, 2.0])]


def test_too_many_candidates_leave_best_worst_and_evenly_spaced_between():
    """Ratings 7, 6.5, 6, 3, 1. Three: target (7 + 1) / 2 = 4, nearest 3. Four: targets 5 and 3, nearest 6 and 3."""
    ratings = (6.5, 1.0, 7.0, 3.0, 6.0)
    assert chosen([group("Q", *ratings)]) == ([("Q", [7.0, 3.0, 1.0])], {"candidates beyond max_candidates": 2})
    assert chosen([group("Q", *ratings)], max_candidates=4)[0] == [("Q", [7.0, 6.0, 3.0, 1.0])]
    assert chosen([group("Q", *ratings)], max_candidates=2)[0] == [("Q", [7.0, 1.0])]


def test_a_lone_answer_is_kept_only_above_the_middle():
    """The middle of 1..7 is 4."""
    groups = [group("above", 4.5), group("middle", 4.0), group("below", 2.0)]
    assert chosen(groups) == ([("above", [4.5])], {"groups without a contrast or a good answer": 2})


def test_answers_rated_alike_are_no_contrast():
    """Both 6: the first is imitated. Both 3: nothing is left."""
    found, left_out = chosen([group("good", 6.0, 6.0), group("bad", 3.0, 3.0)])
    assert found == [("good", [6.0])]
    assert left_out == {"candidates rated alike": 1, "groups without a contrast or a good answer": 1}


def test_min_gap_is_between_best_and_worst():
    groups = [group("wide", 6.0, 4.0), group("narrow", 6.0, 4.5)]
    assert chosen(groups, min_gap=2.0)[0] == [("wide", [6.0, 4.0]), ("narrow", [6.0])]


def parts(imitation, self_critic, realignment):
    return [
        group(f"{part}{i}", 7.0, 1.0, part=part)
        for part, n in (("imitation", imitation), ("self_critic", self_critic), ("realignment", realignment))
        for i in range(n)
    ]


@pytest.mark.parametrize(
    ("there_are", "kept", "mix"),
    [
        ((50, 50, 50), (50, 10, 10), (5, 1, 1)),  # 50 * 1/5 = 10
        ((50, 4, 0), (50, 4, 0), (5, 1, 1)),  # short parts stay whole and cut nobody
        ((2, 9, 9), (2, 1, 1), (5, 1, 1)),  # round(2 / 5) = 0, but one stays
        ((0, 9, 9), (0, 9, 9), (5, 1, 1)),  # no imitation: the next largest share is whole; 9 * 1/1 = 9
        ((10, 10, 10), (5, 0, 10), (1, 0, 2)),  # realignment whole, imitation half of it, no self-critic
    ],
)
def test_parts_are_mixed_by_their_shares(there_are, kept, mix):
    found, _ = chosen(parts(*there_are), mix=mix)
    names = [question.rstrip("0123456789") for question, _ in found]
    assert tuple(names.count(part) for part in ("imitation", "self_critic", "realignment")) == kept


def test_what_the_mix_keeps_depends_on_the_seed_and_not_on_the_order():
    groups = parts(20, 20, 0)
    first = sorted(chosen(groups)[0])
    assert first == sorted(chosen(groups[::-1])[0])
    assert first != sorted(chosen(groups, seed=1)[0])


def test_a_second_selection_changes_nothing():
    """So a file of selected rows can be selected again, for another kind of rows."""
    groups = [*parts(20, 20, 7), group("lone", 5.0), group("many", 7.0, 6.0, 5.0, 4.0, 1.0)]
    once = select(groups, Selection(), Counter())
    left_out: Counter[str] = Counter()
    assert select(once, Selection(), left_out) == once
    assert +left_out == {}


def test_only_the_parts_asked_for():
    found, _ = chosen(parts(3, 3, 3), parts=("self_critic",))
    assert [question for question, _ in found] == ["self_critic0", "self_critic1", "self_critic2"]


def test_parts_of_ones_own_are_kept_whole_beside_the_mix():
    """Files may name their parts as they like; the paper's parts are mixed as if these were not there."""
    found, _ = chosen([*parts(5, 5, 0), group("mine", 7.0, 1.0, part="survey")], mix=(5, 1, 1))
    assert [question for question, _ in found if not question.startswith("imitation")][-1] == "mine"
    assert len(found) == 5 + 1 + 1


def test_all_faults_are_named_at_once():
    with pytest.raises(SettingsError) as error:
        Selection(parts=("imitaton",), mix=(1.0, 2.0), max_candidates=1, min_gap=-1)
    assert str(error.value) == (
        "rows cannot be made:\n"
        "  no part of the data is named 'imitaton'. Did you mean 'imitation'?\n"
        "  mix=(1.0, 2.0) has 2 shares for 1 parts\n"
        "  max_candidates=1 must be at least 2\n"
        "  min_gap=-1 must be at least 0"
    )
