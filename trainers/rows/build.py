"""Runs or files -> training rows: Hugging Face datasets in TRL's formats.

=================== ======================================================================================
kind                columns beside ``part``, ``question`` and ``scale``
=================== ======================================================================================
``ranked``          prompt (messages), completions (texts, best first), ratings (1..scale)
``preferences``     prompt (messages), chosen (messages), rejected (messages), gap (between their ratings)
``demonstrations``  prompt (messages), completion (messages), rating
``unpaired``        prompt (messages), completion (messages), label (True for good), rating, count
``prompts``         prompt (messages)
=================== ======================================================================================

All kinds are made from the same groups of answers, so trainers of different kinds learn from the same record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.data_files import is_hub_name
from sandbox.errors import DataFileError, SettingsError, nearest
from sandbox.store.run import Run, is_run, open_run
from sandbox.typed_settings import make_settings
from trainers.rows.candidates import PARTS, Candidate, Group, LeftOut, collect
from trainers.rows.files import complete_rows, read_rows
from trainers.rows.format import groups_of, left_out_of, make_rows
from trainers.rows.kinds import RowKind, kind_of
from trainers.rows.rewards import best_share, reward_groups
from trainers.rows.selection import BEST_SHARE, MIX, Selection, select

if TYPE_CHECKING:
    from datasets import Dataset


Source: TypeAlias = "Run | str | Path | Dataset"
Runs: TypeAlias = "Source | Sequence[Source]"


def ranked_rows(
    runs: Runs,
    parts: Sequence[str] = PARTS,
    mix: Sequence[float] = MIX,
    max_candidates: int | None = None,
    seed: int = 0,
    min_gap: float = 0.0,
    min_raters: int = 0,
    models: Sequence[str] = (),
    dimension: str | None = None,
    reward: str | None = None,
    gap: float | None = None,
) -> Dataset:
    """Rows of rated answers to the same prompt, for contrastive losses.

    Args:
        runs: A run, its folder, or several.
        parts: See :class:`~trainers.rows.selection.Selection`, as for the rest.
        mix: Shares of the parts.
        max_candidates: Answers to a prompt at most; by default 3 of a record, as in the paper, and all of a file.
        seed: Chooses which groups are cut.
        min_gap: The least difference between ratings that counts.
        min_raters: The least number of neighbours who must have rated a draft.
        models: Language models whose agents' conversations are used, by URI or kind; empty for all.
        dimension: Dimension of the rubric that rates answers, by default the first.
        reward: Reward of the scenario that rates what agents said, in place of the rubric; see :mod:`trainers.rows.rewards`.
        gap: The least difference between rewards that counts.

    Returns:
        Groups with a contrast, and single answers rated above the middle of the scale, which are imitated.

    Raises:
        SettingsError: a setting cannot be used.
        RunNotFound: a folder is not a run.
    """
    selection = Selection(
        tuple(parts), tuple(mix), max_candidates, seed, min_gap, min_raters, tuple(models), dimension, reward, gap
    )
    return _rows(RowKind.RANKED, runs, selection)


def ranked_ratings(run: Run) -> list[list[float]]:
    """The ratings in each of the :func:`ranked_rows` of a run; loads no library of datasets."""
    rows, _ = _row_list(RowKind.RANKED, [run], Selection())
    return [list(row["ratings"]) for row in rows]


def preference_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of a better and a worse answer: each group's best against the others. See :func:`ranked_rows`."""
    return _rows(RowKind.PREFERENCES, runs, _selection(RowKind.PREFERENCES, selection))


def demonstration_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of good answers: the best of each group, if rated above the middle. See :func:`ranked_rows`.

    With ``reward=`` they are the best share of all answers, ``best_share=0.25`` by default.
    """
    return _rows(RowKind.DEMONSTRATIONS, runs, _selection(RowKind.DEMONSTRATIONS, selection))


def unpaired_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of single answers, good if rated above the middle and bad if below. See :func:`ranked_rows`.

    With ``reward=`` they are good if the reward is above its mean over all answers.
    """
    return _rows(RowKind.UNPAIRED, runs, _selection(RowKind.UNPAIRED, selection))


def prompt_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of prompts alone, each once, for trainers that sample answers. See :func:`ranked_rows`."""
    return _rows(RowKind.PROMPTS, runs, _selection(RowKind.PROMPTS, selection))


def rows_from(sources: Runs, kind: RowKind | str, **selection: Any) -> Dataset:
    """Rows of one kind from runs, files and datasets of the Hugging Face hub.

    Rows of the kind are taken as they are, unless settings ask for another selection of ranked ones; ranked and
    preferences rows are made into any other kind, see :func:`~trainers.rows.format.groups_of`. Pairs without a contrast,
    of two equal answers or given both ways round, are left out and counted.

    Args:
        sources: Runs, their folders, files or names of datasets (see :func:`~trainers.rows.files.read_rows`), or rows; one
            or several. ``OWNER/NAME`` is a dataset unless there is a folder of that name.
        kind: What is needed.
        **selection: Of :func:`ranked_rows`; text, as from ``--set``, is read as their types.

    Raises:
        SettingsError: the kind or a setting is unknown, or would change nothing.
        DataFileError: a file cannot be read, or holds another kind.
        RunNotFound: a folder is not a run.
    """
    return _rows_of(sources, _kind(kind), selection, keep_equal=False)


def pairs_from(sources: Runs) -> Dataset:
    """Preferences to evaluate models on, as :func:`rows_from` makes them; pairs of equal answers are kept."""
    return _rows_of(sources, RowKind.PREFERENCES, {}, keep_equal=True)


def _rows_of(sources: Runs, wanted: RowKind, selection: dict[str, Any], *, keep_equal: bool) -> Dataset:
    chosen = _selection(wanted, selection)
    runs: list[Run] = []
    groups: list[Group] = []
    ready: list[Dataset] = []
    left_out: LeftOut = Counter()
    given: list[Any] = list(sources) if isinstance(sources, list | tuple) else [sources]
    for source in given:
        run = _run(source)
        if run is not None:
            runs.append(run)
            continue
        if chosen.reward is not None or chosen.dimension is not None:
            by = "reward" if chosen.reward is not None else "dimension"
            raise SettingsError(f"{source} is no run: its rows are rated already; give runs, or leave out {by}")
        rows = _rows_given(source)
        name = source if isinstance(source, str | Path) else "what was given"
        found = kind_of(rows.column_names)
        if found == RowKind.PREFERENCES and not keep_equal:
            rows = _with_contrast(rows)
        if found in (RowKind.RANKED, RowKind.PREFERENCES) and (
            wanted != found or (selection and found == RowKind.RANKED)
        ):
            groups += groups_of(rows)
            left_out.update(left_out_of(rows))
        elif found != wanted:
            raise DataFileError(
                f"{name} holds {found} rows, which cannot be made into {wanted}; give a run, or a file of "
                f"{wanted}, ranked or preferences rows"
            )
        elif selection:
            raise SettingsError(f"{name} holds {found} rows already; settings of rows apply to runs and ranked files")
        else:
            ready.append(rows)
    if runs or groups or left_out or not ready:
        ready.insert(0, _rows(wanted, runs, chosen, groups, left_out))
    return _joined(wanted, ready)


def _run(source: Any) -> Run | None:
    """The run that a source is; None for files, datasets and rows."""
    if isinstance(source, Run):
        return source
    if not isinstance(source, str | Path):
        return None
    if is_run(source) or not (Path(source).suffix or is_hub_name(source)):
        return open_run(source)
    return None


def _rows_given(source: Any) -> Dataset:
    if isinstance(source, str | Path):
        return read_rows(source)
    records = ((f"rows given, row {number}", row) for number, row in enumerate(source, 1))
    # Without a row there is no layout to tell: the columns say the kind.
    return complete_rows(records, "what was given", left_out_of(source)) if len(source) else source


def _with_contrast(pairs: Dataset) -> Dataset:
    """The pairs whose answers differ by more than white space, and which are not there the other way round as well."""
    keys = [
        (str(row["prompt"]), *(" ".join(row[side][-1]["content"].split()) for side in ("chosen", "rejected")))
        for row in pairs
    ]
    known = set(keys)
    equal = {i for i, (_, better, worse) in enumerate(keys) if better == worse}
    both_ways = {i for i, (asked, better, worse) in enumerate(keys) if (asked, worse, better) in known} - equal
    if not (equal or both_ways):
        return pairs
    left_out = {
        **left_out_of(pairs),
        "pairs of equal answers": len(equal),
        "pairs that are given both ways round": len(both_ways),
    }
    kept = [row for i, row in enumerate(pairs) if i not in equal | both_ways]
    return make_rows(RowKind.PREFERENCES, kept, left_out)


def _joined(kind: RowKind, parts: list[Dataset]) -> Dataset:
    if len(parts) == 1:
        return parts[0]
    left_out: LeftOut = Counter()
    for part in parts:
        left_out.update(left_out_of(part))
    return make_rows(kind, [row for part in parts for row in part], left_out)


def _kind(kind: RowKind | str) -> RowKind:
    try:
        return RowKind(kind)
    except ValueError:
        known = [k.value for k in RowKind]
        raise SettingsError(f"no rows of kind {kind!r}.{nearest(kind, known)} Kinds: {', '.join(known)}") from None


def _selection(kind: RowKind, given: dict[str, Any]) -> Selection:
    tuples = {name: tuple(given[name]) for name in ("parts", "mix", "models") if isinstance(given.get(name), list)}
    return make_settings(f"{kind} rows", Selection, {**given, **tuples})


def _rows(
    kind: RowKind,
    runs: Runs,
    selection: Selection,
    more: Sequence[Group] = (),
    not_used: Mapping[str, int] | None = None,
) -> Dataset:
    chosen = [runs] if isinstance(runs, Run | str | Path) else runs
    opened = [run if isinstance(run, Run) else open_run(run) for run in chosen]
    if opened and selection.reward is not None:
        return _rewarded(kind, opened, selection.reward, selection)
    return make_rows(kind, *_row_list(kind, opened, selection, more, not_used))


def _row_list(
    kind: RowKind,
    opened: Sequence[Run],
    selection: Selection,
    more: Sequence[Group] = (),
    not_used: Mapping[str, int] | None = None,
) -> tuple[list[dict[str, Any]], LeftOut]:
    """Rows, and what was not used, by reason."""
    groups: list[Group] = []
    left_out: LeftOut = Counter()
    if opened:
        groups, left_out = collect(
            opened,
            selection.parts,
            min_raters=selection.min_raters,
            models=selection.models,
            dimension=selection.dimension,
        )
    left_out.update(not_used or {})
    kept = select(groups, selection, left_out, from_files=more)
    rows = [row for group in kept for row in _MAKERS[kind](group, selection, left_out)]
    if kind == RowKind.PROMPTS:
        rows = list({row["prompt"][-1]["content"]: row for row in rows}.values())
    return rows, left_out


def _rewarded(kind: RowKind, runs: Sequence[Run], reward: str, selection: Selection) -> Dataset:
    """Rows of answers rated by a reward of the scenario."""
    compare = kind in (RowKind.RANKED, RowKind.PREFERENCES)
    applies = {"gap": compare, "max_candidates": compare, "best_share": kind == RowKind.DEMONSTRATIONS}
    if faults := [name for name, does in applies.items() if getattr(selection, name) is not None and not does]:
        raise SettingsError(f"{', '.join(faults)} would change nothing in {kind} rows; leave it out")
    left_out: LeftOut = Counter()
    chosen = selection
    kept, ratings, about = reward_groups(
        runs, reward, left_out, compare=compare, min_raters=selection.min_raters, models=selection.models
    )
    if compare:
        # Differences of ratings are rounded, and one that equals the gap counts.
        least = (selection.gap or 0.0) * ratings.factor * (1 - 1e-9)
        chosen = replace(selection, reward=None, gap=None, min_gap=least)
        kept = select([], chosen, left_out, from_files=kept)
    elif kind == RowKind.DEMONSTRATIONS:
        kept = best_share(kept, selection.best_share or BEST_SHARE, left_out)
    return make_rows(kind, [row for group in kept for row in _MAKERS[kind](group, chosen, left_out)], left_out, about)


def _about(group: Group) -> dict[str, Any]:
    turns = [{"role": role, "content": content} for role, content in group.prompt]
    return {"prompt": turns, "part": group.part, "question": group.question, "scale": group.scale}


def _said(candidate: Candidate) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": candidate.text}]


def _ranked(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    del selection, left_out
    texts, ratings = [c.text for c in group.candidates], [c.rating for c in group.candidates]
    return [{**_about(group), "completions": texts, "ratings": ratings}]


def _preferences(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    best, *others = group.candidates
    gaps = [(best.rating - worse.rating, worse) for worse in others]
    wide = [(gap, worse) for gap, worse in gaps if gap > 0 and gap >= selection.min_gap]
    left_out["groups without a pair"] += not wide
    return [{**_about(group), "chosen": _said(best), "rejected": _said(worse), "gap": gap} for gap, worse in wide]


def _demonstrations(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    best = group.candidates[0]
    if best.rating <= group.middle and selection.reward is None:
        left_out["groups without a good answer"] += 1
        return []
    return [{**_about(group), "completion": _said(best), "rating": best.rating}]


def _unpaired(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    del selection
    clear = [c for c in group.candidates if c.rating != group.middle]
    left_out["candidates rated at the middle"] += len(group.candidates) - len(clear)
    return [
        {
            **_about(group),
            "completion": _said(c),
            "label": c.rating > group.middle,
            "rating": c.rating,
            "count": float(c.count),
        }
        for c in clear
    ]


def _prompts(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    del selection, left_out
    return [_about(group)]


_MAKERS = {
    RowKind.RANKED: _ranked,
    RowKind.PREFERENCES: _preferences,
    RowKind.DEMONSTRATIONS: _demonstrations,
    RowKind.UNPAIRED: _unpaired,
    RowKind.PROMPTS: _prompts,
}
