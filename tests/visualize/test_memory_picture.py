"""The map of memories: who remembers what, and where it stands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from by_hand import TEXTS, legend, told, words
from matplotlib.figure import Figure

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.plots import memory


def clouds(figure: Figure) -> dict[str, list[list[float]]]:
    return {str(c.get_label()): np.asarray(c.get_offsets()).round(6).tolist() for c in figure.axes[0].collections}


def test_answers_without_a_common_word_stand_apart(make_run: Callable[..., Run]) -> None:
    """Of two agents one says "a b" and one "c d": unit vectors at right angles, so sqrt(2) apart on one line.

    Their mean is in the middle; the second component has nothing left to tell.
    """
    run = make_run(
        [told(0, 0, revision="a b"), told(0, 1, revision="c d", label="bad")],
        labels=["good", "bad"],
    )
    table = memory.data(run)
    assert sorted(table["x"].round(6)) == [-0.707107, 0.707107]
    assert table["y"].tolist() == pytest.approx([0.0, 0.0])
    assert table.attrs["shares"] == pytest.approx([1.0, 0.0])
    figure = memory.draw(run)
    assert figure.axes[0].get_title(loc="left") == "2 remembered answers"
    assert figure.axes[0].get_xlabel() == "first component (100% of variance)"
    assert legend(figure) == ["good", "bad", "mean of good", "mean of bad"]


def test_points_are_the_memories_of_the_record(society: Run) -> None:
    """Every agent was asked one question, so each remembers one answer, its last; agent 3's first failed."""
    table = memory.data(society)
    assert table[["agent", "label", "question", "answer"]].to_numpy().tolist() == [
        [agent, label, "Is it right?", "Yes, be kind."] for agent, label in enumerate(["good", "good", "bad", "bad"])
    ]
    assert clouds(memory.draw(society)) == {
        "good": [[0.0, 0.0]] * 2, "bad": [[0.0, 0.0]] * 2, "mean of good": [[0.0, 0.0]], "mean of bad": [[0.0, 0.0]],
    }  # fmt: skip


def test_a_large_mark_is_the_mean_of_a_label(crowd: Run) -> None:
    table, found = memory.data(crowd), clouds(memory.draw(crowd))
    assert len(table) == sum(len(crowd.memories(agent)) for agent in range(100))
    for label, rows in table.groupby("label"):
        assert np.allclose(found[str(label)], rows[["x", "y"]], atol=1e-5)
        assert np.allclose(found[f"mean of {label}"], rows[["x", "y"]].mean(), atol=1e-5)


def test_questions_stand_by_their_embeddings(make_run: Callable[..., Run]) -> None:
    """Three questions on a line in the plane: at 0, 1 and 5, so at -2, -1 and 3 from their mean, or the other way."""
    asked = {"p": [0.0, 0.0], "q": [0.6, 0.8], "r": [3.0, 4.0]}
    run = make_run([told(r, 0, question=q) for r, q in enumerate(asked)], embeddings=asked)
    table = memory.data(run, of="question")
    assert table["question"].tolist() == ["p", "q", "r"]
    assert table["x"].tolist() == pytest.approx([-2.0, -1.0, 3.0], abs=1e-5)
    assert table["y"].tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-5)


def test_one_memory_is_one_point_and_none_is_said(lone: Run, nobody: Run) -> None:
    assert len(clouds(memory.draw(lone))["good"]) == 1
    assert words(memory.draw(nobody)) == ["no memories yet"]


def test_of_very_many_memories_evenly_spaced_ones_are_shown(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "POINTS", 3)
    run = make_run([told(r, 0, question=f"q{r}") for r in range(9)])
    assert memory.data(run)["question"].tolist() == ["q0", "q4", "q8"]


@pytest.mark.parametrize("text", TEXTS)
def test_answers_in_any_script_have_a_place(make_run: Callable[..., Run], text: str) -> None:
    interactions = [told(0, 0, revision=TEXTS[text]), told(0, 1, revision="plain words", label="bad")]
    table = memory.data(make_run(interactions, labels=["good", "bad"]))
    assert np.isfinite(table[["x", "y"]].to_numpy()).all()
    # An emoji is no word: such an answer stands at the origin of the words, away from the one with words.
    assert table["x"].nunique() == 2


def test_the_same_run_gives_the_same_map(crowd: Run) -> None:
    assert memory.data(crowd).equals(memory.data(crowd))


def test_an_unknown_setting_is_refused(lone: Run) -> None:
    with pytest.raises(SettingsError) as error:
        memory.draw(lone, of="anser")  # type: ignore[arg-type]
    assert str(error.value) == "of='anser' is not one of answer, question. Did you mean 'answer'?"
