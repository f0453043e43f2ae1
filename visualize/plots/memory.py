"""Map of agents' memories: similar memories are near each other."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sandbox.metrics.influence import words
from sandbox.store.run import Run
from visualize.drawing.agent_values import shown_labels
from visualize.drawing.inputs import Source, as_run
from visualize.drawing.legends import fit_legend
from visualize.drawing.style import (
    COLUMN_IN,
    Theme,
    check_choice,
    empty_figure,
    fix_ticks,
    foreground,
    label_order,
    label_styles,
    one_line,
    use_theme,
)

Of = Literal["answer", "question"]
# Maximum number of points; of more memories, evenly spaced ones are drawn.
POINTS = 3000
_VOCABULARY = 1000


def data(source: Source, *, of: Of = "answer") -> pd.DataFrame:
    """The data of the plot: one row per memory, of at most 3,000 evenly spaced ones.

    Args:
        source: A run or its folder.
        of: What determines the position: the words of the ``answer``, or the embedding of the ``question``.

    Returns:
        Columns agent, label, question, answer, x, y: the first two principal components of the answers' TF-IDF
        vectors, or of the questions' embeddings. Memories from the upbringing are left out. The shares of
        the variance are in ``attrs["shares"]``.

    Raises:
        SettingsError: ``of`` is invalid.
    """
    check_choice("of", of, get_args(Of))
    run = as_run(source)
    rows = [
        (agent, label, question, answer)
        for agent, label in run.agents()[["agent", "label"]].itertuples(index=False)
        for question, answer in run.memories(int(agent))
    ]
    if len(rows) > POINTS:
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, POINTS).round().astype(int)]
    table = pd.DataFrame(rows, columns=["agent", "label", "question", "answer"])
    found = _question_vectors(run, table["question"]) if of == "question" else _answer_vectors(table["answer"])
    points, shares = _components(found)
    table = table.assign(x=points[:, 0], y=points[:, 1])
    table.attrs["shares"] = shares
    return table


def _question_vectors(run: Run, questions: pd.Series[str]) -> NDArray[np.float64]:
    """Shape [memories, dim]; zeros for a question without a stored embedding."""
    kept = {q: np.frombuffer(v, np.float32) for q in questions.unique() if (v := run.embedding(q)) is not None}
    dim = max((len(v) for v in kept.values()), default=1)
    return np.array([kept.get(q, np.zeros(dim)) for q in questions], dtype=float).reshape(len(questions), dim)


def _answer_vectors(answers: pd.Series[str]) -> NDArray[np.float64]:
    """Shape [memories, words], rows of length 1; a row of zeros for an answer without words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Sorted: the order of a set differs between processes, and the order of the vocabulary would rotate the map.
    said = [sorted(words(answer)) for answer in answers]
    if not any(said):
        return np.zeros((len(said), 1))
    vectors = TfidfVectorizer(analyzer=lambda one: one, max_features=_VOCABULARY).fit_transform(said)
    return np.asarray(vectors.toarray(), dtype=float)


def _components(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    """Project on the first two principal components; also return their shares of the variance.

    Args:
        vectors: Shape [memories, dim].

    Returns:
        Points of shape [memories, 2]. Signs are such that the largest loading is positive, so that the same run gives
        the same map.
    """
    if not len(vectors):
        return np.zeros((0, 2)), [0.0, 0.0]
    centred = vectors - vectors.mean(axis=0)
    spread, axes = np.linalg.eigh(centred.T @ centred)
    total = float(spread.sum())
    if total < 1e-12:
        return np.zeros((len(vectors), 2)), [0.0, 0.0]
    chosen = axes[:, ::-1][:, :2]
    chosen = chosen * np.sign(chosen[np.abs(chosen).argmax(axis=0), range(chosen.shape[1])])
    points = np.zeros((len(vectors), 2))
    points[:, : chosen.shape[1]] = centred @ chosen
    points[np.abs(points) < 1e-9] = 0.0  # rounding errors would give the axis a scale of its own
    shares = [*(spread[::-1][:2] / total).tolist(), 0.0]
    return points, shares[:2]


def draw(source: Source, *, of: Of = "answer", theme: Theme = "light") -> Figure:
    """Map of agents' memories: a point per memory, by the words of its answer or by its question, styled by label.

    Similar memories are near each other; a large marker is the mean of a label.

    Args:
        source: A run or its folder.
        of: What determines the position: the words of the ``answer``, or the embedding of the ``question``.
        theme: ``light`` or ``dark``.

    Raises:
        SettingsError: a setting is invalid.
    """
    with use_theme(theme):
        table = data(source, of=of)
        if table.empty:
            return empty_figure("no memories yet")
        figure = Figure(figsize=(COLUMN_IN * 1.3, COLUMN_IN * 1.3), layout="constrained")
        ax = figure.add_subplot()
        faintest, strongest = (0.2, 0.8) if theme == "light" else (0.4, 1.0)  # faint colours vanish on a dark page
        alpha = float(np.clip(14 / np.sqrt(len(table)), faintest, strongest))
        table = table.assign(label=shown_labels(as_run(source), table["label"]))
        found = label_styles(label_order(table["label"]))
        for label, style in found.items():
            mine = table[table["label"] == label]
            ax.scatter(
                mine["x"], mine["y"], s=12, marker=style.marker, color=style.colour, alpha=alpha, linewidths=0,
                label=one_line(label),
            )  # fmt: skip
        for label, style in found.items():
            middle = table.loc[table["label"] == label, ["x", "y"]].mean()
            ax.scatter(
                middle["x"], middle["y"], s=70, marker=style.marker, color=style.colour, edgecolors=foreground(theme),
                linewidths=1.0, zorder=3, label=f"mean of {one_line(label)}",
            )  # fmt: skip
        across, upwards = table.attrs["shares"]
        ax.set_title(f"{len(table)} remembered {of}{'s' if len(table) > 1 else ''}")
        ax.set(xlabel=f"first component ({across:.0%} of variance)", ylabel=f"second component ({upwards:.0%})")
        ax.grid()
        fit_legend(figure, ax.get_legend_handles_labels()[0], most=2)
        return fix_ticks(figure)
