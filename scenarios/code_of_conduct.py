"""A company policy as the rubric: how well do its employees, and its model, follow it?

After norm- and constitution-guided feedback (Bai and others 2022, arXiv:2212.08073): each section of a Markdown document
becomes a dimension of the rubric, in its own words. Colleagues rate each other's answers by the first section and give
reasons; observers rate by all sections (protocol ``back_scatter``).

See the ratings of drafts and revisions by section (``sandbox plot RUN ratings``): which rules feedback helps to follow, and
which are violated; ``weakest`` is the mean rating of the lowest-rated section. Then train on the record and evaluate.
Known limits: only the included document has labelled answers (ten per section), from which the ``values`` rater learns;
other documents are rated by the language model unless labelled answers are given, and a small model is a poor judge of
rules. Only the first 400 characters of a section are used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sandbox import (
    Dimension,
    Example,
    Interaction,
    Measure,
    Rubric,
    Scenario,
    World,
    read_questions,
    read_table,
    read_text,
)
from sandbox.errors import DataFileError

DATA = Path(__file__).parent / "data"
POLICY = DATA / "code_of_conduct.md"
LABELLED = DATA / "code_of_conduct_examples.csv"
QUESTIONS = DATA / "code_of_conduct_questions.csv"
_LONGEST = 400


def scenario(
    policy: str | None = None, questions: str | None = None, examples: str | None = None, scale: int = 5
) -> Scenario:
    """A company policy as the rubric: how well do its employees, and its model, follow it?

    Args:
        policy: A Markdown file; each heading of level 2 is one dimension.
        questions: A .txt, .jsonl, .json or .csv file of questions from work.
        examples: A table with the columns section, question, answer and good (yes or no), for the ``values`` rater.
        scale: The highest rating.
    """
    labelled = examples if examples is not None else None if policy is not None else str(LABELLED)
    asked = read_questions(questions or QUESTIONS)
    return Scenario(
        name="code_of_conduct",
        questions=asked[: max(1, len(asked) - 5)] if questions is None else asked,
        heldout=asked[-5:] if questions is None else (),
        population={"colleague": 1.0},
        roles={"colleague": "You work in a company with a code of conduct."},
        rubric=Rubric(sections(policy or str(POLICY), labelled), scale=scale),
        source=str(policy or POLICY.name),
        measures={"weakest": Measure(weakest, unit="points")},
    )


def sections(policy: str, labelled: str | None) -> tuple[Dimension, ...]:
    """The dimensions of a policy: its headings of level 2, with the text below each.

    Raises:
        DataFileError: the document has no such headings, one has no text, or an example is of another section.
    """
    parts = re.split(r"^##\s+", read_text(Path(policy)), flags=re.MULTILINE)[1:]
    if not parts:
        raise DataFileError(f"{policy} has no headings of level 2 ('## Confidentiality'); each becomes a dimension")
    examples: dict[str, list[Example]] = {}
    for row in read_table(labelled, texts=("section", "question", "answer")) if labelled else ():
        good = str(row.get("good")).strip().lower() in ("yes", "true", "1")
        examples.setdefault(_name(str(row.get("section"))), []).append(Example(row["question"], row["answer"], good))
    found = []
    for part in parts:
        title, _, text = part.partition("\n")
        words = " ".join(text.split())
        if not words:
            raise DataFileError(f"{policy}: the section {title.strip()!r} has no text; describe the rule")
        rule = f"how well the answer keeps to this rule on {title.strip().lower()}: {words[:_LONGEST]}"
        found.append(Dimension(_name(title), rule, tuple(examples.pop(_name(title), ()))))
    if examples:
        raise DataFileError(f"{labelled} has examples of {', '.join(examples)}, which are not sections of {policy}")
    return tuple(found)


def _name(title: str) -> str:
    """A heading as a name: ``Conflicts of interest`` becomes ``conflicts_of_interest``."""
    name = re.sub(r"\W+", "_", title.strip().lower()).strip("_")
    return f"rule_{name}" if name[:1].isdigit() else name


def weakest(interactions: Sequence[Interaction], world: World) -> float | None:
    """Mean final rating of the lowest-rated section, in points."""
    means = []
    for dimension in world.scenario.rubric.dimensions:
        rated = [v for it in interactions
                 if (v := it.after.value(dimension.name) or it.before.value(dimension.name)) is not None]  # fmt: skip
        means += [sum(rated) / len(rated)] if rated else []
    return min(means) if means else None
