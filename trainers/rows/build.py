"""From runs, or files, to rows a trainer learns from: Hugging Face datasets in TRL's formats.

=================== ======================================================================================
kind                columns beside ``part``, ``question`` and ``scale``
=================== ======================================================================================
``ranked``          prompt (messages), completions (texts, best first), ratings (1..scale)
``preferences``     prompt (messages), chosen (messages), rejected (messages), gap (between their ratings)
``demonstrations``  prompt (messages), completion (messages), rating
``unpaired``        prompt (messages), completion (messages), label (True for good), rating
``prompts``         prompt (messages)
=================== ======================================================================================

All kinds are made from the same groups of answers, so trainers of different kinds learn from the same record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sandbox.errors import DataFileError, SettingsError, nearest
from sandbox.store.run import Run, is_run, open_run
from sandbox.typed_settings import make_settings
from trainers.rows.candidates import PARTS, Candidate, Group, LeftOut, collect
from trainers.rows.files import complete_rows, read_rows
from trainers.rows.format import groups_of, make_rows
from trainers.rows.kinds import RowKind, kind_of
from trainers.rows.selection import MIX, Selection, select

if TYPE_CHECKING:
    from datasets import Dataset


Source: TypeAlias = "Run | str | Path | Dataset"
Runs: TypeAlias = "Source | Sequence[Source]"


def ranked_rows(
    runs: Runs,
    parts: Sequence[str] = PARTS,
    mix: Sequence[float] = MIX,
    max_candidates: int = 3,
    seed: int = 0,
    min_gap: float = 0.0,
    min_raters: int = 0,
    models: Sequence[str] = (),
) -> Dataset:
    """Rows of rated answers to the same prompt, for contrastive losses.

    Args:
        runs: A run, its folder, or several.
        parts: See :class:`~trainers.rows.selection.Selection`, as for the rest.
        mix: Shares of the parts.
        max_candidates: Answers to a prompt at most.
        seed: Chooses which groups are cut.
        min_gap: The least difference between ratings that counts.
        min_raters: The least number of neighbours who must have rated a draft.
        models: Language models whose agents' conversations are used, by URI or kind; empty for all.

    Returns:
        Groups with a contrast, and single answers rated above the middle of the scale, which are imitated.

    Raises:
        SettingsError: a setting cannot be used.
        RunNotFound: a folder is not a run.
    """
    selection = Selection(tuple(parts), tuple(mix), max_candidates, seed, min_gap, min_raters, tuple(models))
    return _rows(RowKind.RANKED, runs, selection)


def preference_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of a better and a worse answer: each group's best against the others. See :func:`ranked_rows`."""
    return _rows(RowKind.PREFERENCES, runs, _selection(RowKind.PREFERENCES, selection))


def demonstration_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of good answers: the best of each group, if rated above the middle. See :func:`ranked_rows`."""
    return _rows(RowKind.DEMONSTRATIONS, runs, _selection(RowKind.DEMONSTRATIONS, selection))


def unpaired_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of single answers, good if rated above the middle and bad if below. See :func:`ranked_rows`."""
    return _rows(RowKind.UNPAIRED, runs, _selection(RowKind.UNPAIRED, selection))


def prompt_rows(runs: Runs, **selection: Any) -> Dataset:
    """Rows of prompts alone, each once, for trainers that sample answers. See :func:`ranked_rows`."""
    return _rows(RowKind.PROMPTS, runs, _selection(RowKind.PROMPTS, selection))


def rows_from(sources: Runs, kind: RowKind | str, **selection: Any) -> Dataset:
    """Rows of one kind from runs and files.

    Rows of the kind are taken as they are, unless settings ask for another selection of ranked ones; ranked and
    preferences rows are made into any other kind, see :func:`~trainers.rows.format.groups_of`.

    Args:
        sources: Runs, their folders, files (see :func:`~trainers.rows.files.read_rows`) or rows; one or several.
        kind: What is needed.
        **selection: Of :func:`ranked_rows`; text, as from ``--set``, is read as their types.

    Raises:
        SettingsError: the kind or a setting is unknown, or would change nothing.
        DataFileError: a file cannot be read, or holds another kind.
        RunNotFound: a folder is not a run.
    """
    wanted = _kind(kind)
    chosen = _selection(wanted, selection)
    runs: list[Run] = []
    groups: list[Group] = []
    ready: list[Dataset] = []
    given: list[Any] = list(sources) if isinstance(sources, list | tuple) else [sources]
    for source in given:
        if isinstance(source, Run):
            runs.append(source)
            continue
        if isinstance(source, str | Path):
            if is_run(source) or not Path(source).suffix:
                runs.append(open_run(source))
                continue
            rows = read_rows(source)
            found = kind_of(rows.column_names)
        else:
            found = kind_of(source.column_names)
            rows = source if found is None else complete_rows(source, found, "rows given")
            source = "what was given"
        if found in (RowKind.RANKED, RowKind.PREFERENCES) and (
            wanted != found or (selection and found == RowKind.RANKED)
        ):
            groups += groups_of(rows)
        elif found != wanted:
            raise DataFileError(
                f"{source} holds {found} rows, which cannot be made into {wanted}; give a run, or a file of "
                f"{wanted}, ranked or preferences rows"
            )
        elif selection:
            raise SettingsError(f"{source} holds {found} rows already; settings of rows apply to runs and ranked files")
        else:
            ready.append(rows)
    if runs or groups or not ready:
        ready.insert(0, _rows(wanted, runs, chosen, groups))
    return _joined(ready)


def _joined(parts: list[Dataset]) -> Dataset:
    if len(parts) == 1:
        return parts[0]
    from datasets import concatenate_datasets

    return concatenate_datasets(parts, info=parts[0].info)


def _kind(kind: RowKind | str) -> RowKind:
    try:
        return RowKind(kind)
    except ValueError:
        known = [k.value for k in RowKind]
        raise SettingsError(f"no rows of kind {kind!r}.{nearest(kind, known)} Kinds: {', '.join(known)}") from None


def _selection(kind: RowKind, given: dict[str, Any]) -> Selection:
    tuples = {name: tuple(given[name]) for name in ("parts", "mix", "models") if isinstance(given.get(name), list)}
    return make_settings(f"{kind} rows", Selection, {**given, **tuples})


def _rows(kind: RowKind, runs: Runs, selection: Selection, more: Sequence[Group] = ()) -> Dataset:
    chosen = [runs] if isinstance(runs, Run | str | Path) else runs
    opened = [run if isinstance(run, Run) else open_run(run) for run in chosen]
    groups: list[Group] = []
    left_out: LeftOut = Counter()
    if opened:
        groups, left_out = collect(opened, selection.parts, min_raters=selection.min_raters, models=selection.models)
    kept = select([*groups, *more], selection, left_out)
    rows = [row for group in kept for row in _MAKERS[kind](group, selection, left_out)]
    if kind == RowKind.PROMPTS:
        rows = list({row["prompt"][-1]["content"]: row for row in rows}.values())
    return make_rows(kind, rows, left_out)


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
    del selection
    best = group.candidates[0]
    if best.rating <= group.middle:
        left_out["groups without a good answer"] += 1
        return []
    return [{**_about(group), "completion": _said(best), "rating": best.rating}]


def _unpaired(group: Group, selection: Selection, left_out: LeftOut) -> list[dict[str, Any]]:
    del selection
    clear = [c for c in group.candidates if c.rating != group.middle]
    left_out["candidates rated at the middle"] += len(group.candidates) - len(clear)
    return [
        {**_about(group), "completion": _said(c), "label": c.rating > group.middle, "rating": c.rating} for c in clear
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
