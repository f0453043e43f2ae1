"""Export of a run: JSON Lines, Parquet and GraphML.

JSON Lines and Parquet contain all interactions; GraphML contains the social graph. The layout of the paper's released data is
in :mod:`sandbox.store.sample_world`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import SettingsError, nearest
from sandbox.folders import whole_file
from sandbox.records import Interaction, Rating
from sandbox.storage_errors import read_as_written
from sandbox.store.run import Run, open_run
from sandbox.store.sample_world import write_sample_world
from sandbox.text_cleaning import without_control_characters

if TYPE_CHECKING:
    import pyarrow as pa


def export_run(run: Run | str | Path, fmt: str, out: str | Path) -> Path:
    """Write a run in another format.

    Args:
        run: A run, or its folder.
        fmt: One of ``FORMATS``.
        out: The file; or a folder, in which the file is called ``interactions.jsonl``, ``interactions.parquet`` or
            ``social_graph.graphml``. An existing file is replaced. ``sample_world`` needs a folder.

    Returns:
        Path of the file or folder.

    Raises:
        SettingsError: the format is unknown, or ``out`` has the suffix of another.
        RunNotFound: the folder is not a run.
        RunExists: ``out`` already contains a sample world.
    """
    if fmt not in FORMATS:
        raise SettingsError(f"--format {fmt!r} is not one of {', '.join(FORMATS)}.{nearest(fmt, FORMATS)}")
    opened = run if isinstance(run, Run) else open_run(run)
    if fmt == "sample_world":
        return write_sample_world(opened, out)
    write, name = _FILES[fmt]
    target = _target(Path(out), name)
    with whole_file(target) as fresh, read_as_written(f"the record of {opened.path}"):
        write(opened, fresh)
    return target


def _target(out: Path, name: str) -> Path:
    suffix = Path(name).suffix
    if out.suffix == suffix and not out.is_dir():
        return out
    if out.suffix and not out.is_dir():
        raise SettingsError(f"--out {out} does not end in {suffix}; name a {suffix} file, or a folder")
    return out / name


def _write_jsonl(run: Run, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for interactions in _rounds(run):
            file.writelines(json.dumps(it.as_dict(), ensure_ascii=False) + "\n" for it in interactions)


def _rounds(run: Run) -> Iterator[list[Interaction]]:
    """All interactions, one round at a time to bound memory; the last list is of the incomplete round."""
    for round_ in range(run.rounds + 1):
        yield run.interactions(round_)


def _write_parquet(run: Run, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(run.dimensions, tuple(run.rewards))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for interactions in _rounds(run):
            rows = [_flat(interaction, run.dimensions) for interaction in interactions]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _schema(dimensions: Sequence[str], rewards: Sequence[str] = ()) -> pa.Schema:
    """One column per field of an interaction; ratings on dimension D are D_before and D_after, reward R is ``reward.R``.

    Columns D_before_reason, D_before_distribution and D_before_raw, and the same for D_after, contain the rest of the
    rating; ``feedback`` is a list of structures; ``extra`` is JSON.
    """
    import pyarrow as pa

    rating = {"reason": pa.string(), "distribution": pa.list_(pa.float64()), "raw": pa.string()}
    review = pa.struct([("reviewer", pa.int64()), ("rating", pa.float64()), *rating.items(), ("kind", pa.string())])
    texts, numbers = {"name": pa.string(), "text": pa.string()}, {"agent": pa.int64(), "speaker": pa.int64()}
    heard = pa.struct([*numbers.items(), *texts.items(), ("importance", pa.float64())])
    columns = [
        ("round", pa.int64()),
        ("agent", pa.int64()),
        *((name, pa.string()) for name in ("label", "protocol", "question", "draft", "revision")),
        ("recalled_question", pa.string()),
        ("recalled_answer", pa.string()),
        ("feedback", pa.list_(review)),
        *((f"{d}_{when}", pa.float64()) for d in dimensions for when in ("before", "after")),
        *(
            (f"{d}_{when}_{part}", kind)
            for d in dimensions
            for when in ("before", "after")
            for part, kind in rating.items()
        ),
        ("heard", pa.list_(heard)),
        *((f"reward.{name}", pa.float64()) for name in rewards),
        *([("utterances", pa.list_(pa.struct([(name, pa.string()) for name in _SAID])))] if rewards else []),
        ("error", pa.string()),
        ("extra", pa.string()),
    ]
    return pa.schema(columns)


_SAID = ("purpose", "question", "key", "text", "stage")
_HEARD = ("agent", "speaker", "name", "text", "importance")


def _flat(it: Interaction, dimensions: Sequence[str]) -> dict[str, Any]:
    question, answer = it.recalled or (None, None)
    row: dict[str, Any] = {
        **{name: getattr(it, name) for name in ("round", "agent", "label", "protocol", "question", "draft")},
        "revision": it.revision,
        "recalled_question": question,
        "recalled_answer": answer,
        "feedback": [
            {"reviewer": f.reviewer, "rating": f.rating.value, **_words(f.rating), "kind": f.kind} for f in it.feedback
        ],
        "heard": [{name: getattr(one, name) for name in _HEARD} for one in it.heard],
        "utterances": [{name: getattr(one, name) for name in _SAID} for one in it.utterances],
        **{f"reward.{name}": value for name, value in it.rewards.items()},
        "error": it.error,
        "extra": json.dumps(dict(it.extra), ensure_ascii=False),
    }
    for dimension in dimensions:
        for when, score in (("before", it.before), ("after", it.after)):
            rating = score.ratings.get(dimension)
            if rating is not None:
                row[f"{dimension}_{when}"] = rating.value
                row |= {f"{dimension}_{when}_{part}": value for part, value in _words(rating).items()}
    return row


def _words(rating: Rating) -> dict[str, Any]:
    distribution = None if rating.distribution is None else list(rating.distribution)
    return {"reason": rating.reason, "distribution": distribution, "raw": rating.raw}


def _write_graphml(run: Run, path: Path) -> None:
    import networkx as nx

    graph = run.social_graph()
    # GraphML has no null: unknown attributes are left out.
    for attributes in (*graph.nodes.values(), *graph.edges.values()):
        for name in [name for name, value in attributes.items() if value is None or value != value]:
            del attributes[name]
        for name, value in attributes.items():
            if isinstance(value, str):
                attributes[name] = without_control_characters(value)
    nx.write_graphml(graph, path)


_FILES: dict[str, tuple[Callable[[Run, Path], None], str]] = {
    "jsonl": (_write_jsonl, "interactions.jsonl"),
    "parquet": (_write_parquet, "interactions.parquet"),
    "graphml": (_write_graphml, "social_graph.graphml"),
}
FORMATS = (*_FILES, "sample_world")
