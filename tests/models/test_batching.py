from __future__ import annotations

import random

from sandbox.models.local.batching import Group, common_prefix, plan, shared_by_all

HEAD = list(range(100, 140))  # 40 tokens, more than are worth sharing


def test_rows_are_batched_by_length_and_the_longest_come_first() -> None:
    """Lengths 3, 9, 4, 8 with two a batch: 9 with 8, then 4 with 3."""
    prompts = [[1] * 3, [2] * 9, [3] * 4, [4] * 8]
    batches = plan(prompts, [0] * 4, max_batch=2, batch_tokens=1000)
    assert [[g.rows for g in batch] for batch in batches] == [[(1,), (3,)], [(2,), (0,)]]


def test_a_batch_holds_no_more_tokens_than_said() -> None:
    """Each row takes 10 tokens and writes 10: three of them make 60, so two fit into 50."""
    batches = plan([[i] * 10 for i in range(5)], [10] * 5, max_batch=32, batch_tokens=50)
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_a_single_row_longer_than_a_batch_is_run_alone() -> None:
    assert plan([[1] * 100], [0], max_batch=4, batch_tokens=10) == [[Group((0,), 0)]]


def test_rows_that_begin_alike_form_a_group() -> None:
    """Two rows share HEAD and the token 7; the third shares nothing."""
    prompts = [[*HEAD, 7, 1], [5] * 42, [*HEAD, 7, 2]]
    batches = plan(prompts, [0] * 3, max_batch=8, batch_tokens=1000)
    assert {g for batch in batches for g in batch} == {Group((0, 2), 41), Group((1,), 0)}


def test_the_same_prompt_twice_shares_all_but_its_last_token() -> None:
    assert plan([HEAD, HEAD], [4, 4], max_batch=8, batch_tokens=1000) == [[Group((0,), 39), Group((1,), 39)]]


def test_a_short_beginning_is_not_shared() -> None:
    prompts = [[*HEAD[:31], 1], [*HEAD[:31], 2]]
    assert all(g.shared == 0 for batch in plan(prompts, [0, 0], max_batch=8, batch_tokens=999) for g in batch)


def test_a_row_joins_only_if_the_group_saves_more_with_it() -> None:
    """Three rows share 40 + 60 tokens: 2 x 100 = 200 saved. A fourth shares 40 with them: 3 x 40 = 120, less."""
    long = [*HEAD, *range(60)]
    prompts = [[*long, 1], [*long, 2], [*long, 3], [*HEAD, *range(500, 530)], [5] * 9]
    groups = {g for batch in plan(prompts, [0] * 5, max_batch=8, batch_tokens=9999) for g in batch}
    assert groups == {Group((0, 1, 2), 100), Group((3,), 0), Group((4,), 0)}


def test_what_every_row_begins_with_is_no_reason_for_a_group() -> None:
    """One rubric for all, two answers to each of two questions, one to a third: groups are by question."""
    questions = [[*HEAD, *range(n, n + 35)] for n in (100, 200, 300)]
    prompts = [[*questions[n], 7, i] for i, n in enumerate((0, 1, 0, 1, 2))]
    groups = {g for batch in plan(prompts, [0] * 5, max_batch=8, batch_tokens=9999) for g in batch}
    assert groups == {Group((0, 2), 76), Group((1, 3), 76), Group((4,), 40)}


def test_what_all_begin_with_leaves_each_a_token_and_is_worth_a_pass() -> None:
    assert shared_by_all([HEAD, [*HEAD, 1]]) == 39
    assert shared_by_all([[*HEAD, 3], [*HEAD, 1], [*HEAD, 2]], 35) == 35
    assert shared_by_all([[*HEAD, 3], [*HEAD, 1], HEAD[:20]]) == 0
    assert shared_by_all([HEAD]) == shared_by_all([]) == 0


def test_nothing_is_shared_when_told_so() -> None:
    batches = plan([HEAD, HEAD], [0, 0], max_batch=8, batch_tokens=1000, share=False)
    assert all(g.shared == 0 for batch in batches for g in batch)


def test_a_group_too_large_for_a_batch_is_cut_and_a_lone_row_shares_nothing() -> None:
    """Rows of 42 tokens, 100 to a batch: two at a time; of three, the last is alone."""
    prompts = [[*HEAD, 7, i] for i in range(3)] + [[5] * 42]
    batches = plan(prompts, [0] * 4, max_batch=8, batch_tokens=100)
    assert batches == [[Group((0, 1), 41)], [Group((2,), 0), Group((3,), 0)]]


def test_every_row_is_planned_once_and_groups_share_what_they_say() -> None:
    rng = random.Random(3)
    heads = [[rng.randrange(9) for _ in range(rng.choice((10, 40, 90)))] for _ in range(6)]
    prompts = [[*rng.choice(heads), *(rng.randrange(9) for _ in range(rng.randint(1, 50)))] for _ in range(200)]
    batches = plan(prompts, [5] * 200, max_batch=16, batch_tokens=1500)
    assert sorted(row for batch in batches for g in batch for row in g.rows) == list(range(200))
    for batch in batches:
        rows = [row for g in batch for row in g.rows]
        assert len(rows) <= 16
        assert len(rows) == 1 or len(rows) * max(len(prompts[row]) + 5 for row in rows) <= 1500
        for group in batch:
            assert len({tuple(prompts[row][: group.shared]) for row in group.rows}) == 1
            assert all(group.shared < len(prompts[row]) for row in group.rows)


def test_no_rows_make_no_batches() -> None:
    assert plan([], [], max_batch=4, batch_tokens=10) == []


def test_common_prefix_stops_at_the_limit() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4], 3) == 2
    assert common_prefix([1, 2, 3], [1, 2, 3], 2) == 2
