"""The rules of the paper, each on interactions made by hand. Scale 1..7, middle 4."""

from __future__ import annotations

from trainers.rows.candidates import COMMENT_PROMPT, REALIGN_PROMPT, collect


def by_part(run, part, *more):
    groups, left_out = collect([run, *more], [part])
    return [(g.prompt[-1][1], [(c.text, c.rating) for c in g.candidates]) for g in groups], +left_out


def test_imitation_is_draft_and_revision_under_the_question(make_run, interaction):
    run = make_run(interaction("What is fair?", "D", "R", before=2.0, after=6.5))
    assert by_part(run, "imitation") == ([("What is fair?", [("D", 2.0), ("R", 6.5)])], {})


def test_answers_of_several_agents_and_runs_to_a_question_are_one_group(make_run, interaction):
    first = make_run(interaction("Q", "a", "b", 1.0, 2.0), interaction("Q", "c", "d", 3.0, 4.0))
    second = make_run(interaction("Q", "e", "f", 5.0, 6.0), interaction("other", "g", "h", 1.0, 7.0))
    groups, _ = by_part(first, "imitation", second)
    assert [(q, [text for text, _ in given]) for q, given in groups] == [
        ("Q", ["a", "b", "c", "d", "e", "f"]),
        ("other", ["g", "h"]),
    ]


def test_runs_with_different_scales_are_not_compared(make_run, interaction):
    seven, ten = make_run(interaction("Q")), make_run(interaction("Q"), scale=10)
    groups, _ = collect([seven, ten], ["imitation"])
    assert [g.scale for g in groups] == [7.0, 10.0]


def test_duplicates_go_within_a_group_and_stay_across_groups(make_run, interaction):
    """Draft and revision alike rated 2 and 4: one candidate rated 3. The same text under another question stays."""
    run = make_run(interaction("Q", "same", "same ", 2.0, 4.0), interaction("P", "same", "else", 5.0, 6.0))
    groups, left_out = by_part(run, "imitation")
    assert groups == [("Q", [("same", 3.0)]), ("P", [("same", 5.0), ("else", 6.0)])]
    assert left_out == {"candidates said twice": 1}


def test_missing_ratings_and_texts_are_left_out_and_counted(make_run, interaction):
    run = make_run(
        interaction("Q", before=None, after=5.0),
        interaction("P", revision="  ", before=3.0, after=5.0),
        interaction("O", revision=None, before=3.0, after=None),
    )
    groups, left_out = by_part(run, "imitation")
    assert groups == [("Q", [("R", 5.0)]), ("P", [("D", 3.0)]), ("O", [("D", 3.0)])]
    assert left_out == {"candidates without a rating": 1, "candidates without text": 1}


def test_failed_interactions_are_skipped(make_run, interaction):
    run = make_run(interaction("Q", error="no answer"), interaction("P", draft=None), interaction("O"))
    groups, left_out = by_part(run, "imitation")
    assert [question for question, _ in groups] == ["O"]
    assert left_out == {"interactions that failed": 2}


def test_a_critique_is_rated_by_how_near_it_is_to_the_observers(make_run, interaction):
    """Observers gave 2: a critic who gave 2 gets 7 - 0 = 7, one who gave 7 gets 7 - 5 = 2, one who gave 1.5 6.5."""
    run = make_run(interaction("Q", "D", before=2.0, feedback=[(2.0, "harsh"), (7.0, "lenient"), (1.5, "harsher")]))
    groups, _ = by_part(run, "self_critic")
    assert groups == [
        (
            COMMENT_PROMPT.format(question="Q", draft="D", scale=7),
            [
                ("Rating: 2\nReason: harsh", 7.0),
                ("Rating: 7\nReason: lenient", 2.0),
                ("Rating: 2\nReason: harsher", 6.5),
            ],
        )
    ]


def test_a_critique_without_rating_reason_or_observation_is_left_out(make_run, interaction):
    run = make_run(
        interaction("Q", before=2.0, feedback=[(None, "words"), (3.0, " "), (3.0, "good")]),
        interaction("P", before=None, feedback=[(3.0, "good")]),
    )
    groups, left_out = by_part(run, "self_critic")
    assert [[text for text, _ in given] for _, given in groups] == [["Rating: 3\nReason: good"]]
    assert left_out == {"candidates without a rating": 2, "candidates without text": 1}


def test_realignment_is_feedback_with_the_revision_nearest_critic_first(make_run, interaction):
    """Observers gave the draft 2 and the revision 6; the critic who gave 3 is nearer than the one who gave 5."""
    run = make_run(interaction("Q", "D", "R", before=2.0, after=6.0, feedback=[(5.0, "far"), (3.0, "near")]))
    groups, _ = by_part(run, "realignment")
    assert groups == [
        (
            REALIGN_PROMPT.format(question="Q", draft="D", scale=7),
            [
                ("Rating: 3\nReason: near\nBetter answer: R", 6.0),
                ("Rating: 5\nReason: far\nBetter answer: R", 6.0),
            ],
        )
    ]


def test_realignment_only_where_the_revision_is_better_and_above_the_middle(make_run, interaction):
    """Kept: 2 to 4.5. Not kept: 5 to 5 (no better), 6 to 5 (worse), 2 to 4 (at the middle of 1..7)."""
    feedback = [(3.0, "why")]
    run = make_run(
        interaction("kept", before=2.0, after=4.5, feedback=feedback),
        interaction("same", before=5.0, after=5.0, feedback=feedback),
        interaction("worse", before=6.0, after=5.0, feedback=feedback),
        interaction("middle", before=2.0, after=4.0, feedback=feedback),
        interaction("unrated", before=2.0, after=None, feedback=feedback),
    )
    groups, left_out = collect([run], ["realignment"])
    assert [g.question for g in groups] == ["kept"]
    assert +left_out == {"revisions that did not improve": 3, "candidates without a rating": 1}


def test_the_middle_is_that_of_the_runs_scale(make_run, interaction):
    """On 1..10 the middle is 5.5: a revision rated 5 is not above it."""
    run = make_run(interaction("Q", before=2.0, after=5.0, feedback=[(3.0, "why")]), scale=10)
    groups, left_out = collect([run], ["realignment"])
    assert groups == []
    assert left_out["revisions that did not improve"] == 1


def test_braces_in_what_agents_say_are_text(make_run, interaction):
    run = make_run(interaction("{question}?", "{draft}", feedback=[(3.0, "{reason}")]))
    groups, _ = by_part(run, "self_critic")
    assert '"{question}?"' in groups[0][0]
    assert groups[0][1] == [("Rating: 3\nReason: {reason}", 6.0)]
