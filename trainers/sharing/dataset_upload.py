"""Files of rows, and runs, as uploads: data that ``datasets.load_dataset`` reads, and a card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.errors import PushError
from sandbox.store.export import export_run
from sandbox.store.run import Run
from trainers.rows.files import read_rows
from trainers.rows.format import row_statistics
from trainers.rows.kinds import kind_of
from trainers.sharing.dataset_card import rows_card, run_card
from trainers.sharing.local_paths import check_no_local_paths, clean_json, machine_folders, without_local_paths
from trainers.sharing.sources import read_about, run_facts
from trainers.sharing.upload import CARD, Upload, UploadFile

if TYPE_CHECKING:
    import pandas as pd

ROWS = (".jsonl", ".parquet")
_NOT_IN_RUN = (
    "Not in this dataset: the log of model calls (requests and replies), embeddings, memories, figures and pages of the run "
    "folder."
)


def rows_upload(file: Path, repo: str, *, licence: str | None = None) -> Upload:
    """Collect what is pushed of a file of rows: the file as split ``train``, and ``NAME.heldout`` beside it as ``test``.

    Raises:
        PushError: the file has another format, or its texts name folders of this machine.
        DataFileError: it holds no rows.
    """
    if file.suffix not in ROWS:
        raise PushError(
            f"{file} is no file of rows in {' or '.join(ROWS)}; convert it: sandbox dataset {file} --kind KIND --out rows.jsonl"
        )
    heldout = file.with_name(f"{file.stem}.heldout{file.suffix}")
    alone = file.stem.endswith(".heldout")
    parts = {"test": file} if alone else {"train": file, **({"test": heldout} if heldout.is_file() else {})}
    notes, files, splits, found = [], [], {}, {}
    for split, path in parts.items():
        rows = found[split] = read_rows(path)
        name = f"data/{split}{file.suffix}"
        files.append(UploadFile(name, path))
        splits[split] = (name, row_statistics(rows))
        notes.append(f"{path} is pushed as split {split}: {len(rows):,} rows")
    about = read_about(file)
    if about is None:
        notes.append(
            f"no facts of this file are kept beside it ({file.name}.about.json): the card does not say what it was made of"
        )
    else:
        about = clean_json(about, without_local_paths)
        # A file holds no count of what was left out when it was made.
        first = next(iter(splits))
        splits[first] = (splits[first][0], {**splits[first][1], **_left_out(about)})
    kinds = {kind_of(rows.column_names) for rows in found.values()}
    kind = kinds.pop()
    if kind is None or kinds:
        raise PushError(f"{', '.join(map(str, parts.values()))} hold rows of different kinds; push them one by one")
    card = rows_card(repo, kind, splits, _columns(file), about, licence)
    # Parquet is compressed: its texts are read as rows.
    texts = [
        UploadFile(one.name, "\n".join(json.dumps(row, ensure_ascii=False) for row in found[split]).encode())
        for one, split in zip(files, found, strict=True)
        if file.suffix == ".parquet"
    ]
    check_no_local_paths(texts, file)
    return Upload("dataset", [UploadFile(CARD, card.encode()), *files], notes)


def _left_out(about: dict[str, Any]) -> dict[str, Any]:
    """What was left out when rows were made."""
    statistics = about.get("statistics") or {}
    return {name: statistics[name] for name in ("left_out", "reward") if statistics.get(name)}


def _columns(file: Path) -> list[str]:
    """Columns of a file, as they are in it."""
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_schema(file).names)
    with file.open(encoding="utf-8-sig") as lines:
        return list(json.loads(next(line for line in lines if line.strip())))


def run_upload(run: Run, repo: str, work: Path, *, licence: str | None = None) -> Upload:
    """Collect what is pushed of a run: its interactions, agents, rounds and states as Parquet, and the manifest.

    The log of model calls stays on this machine.

    Args:
        run: The run.
        repo: ``OWNER/NAME``.
        work: A folder for the tables.
        licence: Identifier of the licence.

    Raises:
        PushError: the run has no interactions.
    """
    if run.frame().empty:
        raise PushError(
            f"{run.path} has no interactions to push; record a round first: sandbox run ... --out {run.path} --resume"
        )
    folders = machine_folders(run.path)
    frames: dict[str, pd.DataFrame] = {"agents": run.agents(), "rounds": _rounds(run)}
    if run.has_states():
        frames["states"] = run.states()
    tables: dict[str, tuple[str, int, Sequence[str]]] = {}
    files = []
    whole = export_run(run, "parquet", work / "interactions.parquet")
    n, columns = _clean_table(whole, folders)
    tables["interactions"] = ("data/interactions.parquet", n, columns)
    files.append(UploadFile(tables["interactions"][0], whole))
    for name, frame in frames.items():
        if frame.empty:
            continue
        _plain(frame).to_parquet(work / f"{name}.parquet", index=False)
        _clean_table(work / f"{name}.parquet", folders)
        tables[name] = (f"data/{name}.parquet", len(frame), list(frame.columns))
        files.append(UploadFile(tables[name][0], work / f"{name}.parquet"))
    manifest = clean_json(run.manifest, without_local_paths)
    files.append(UploadFile("manifest.json", (json.dumps(manifest, ensure_ascii=False, indent=1) + "\n").encode()))
    notes = [f"{name}: {count:,} rows" for name, (_, count, _) in tables.items()]
    notes.append("left out: the log of model calls (requests and replies), embeddings, memories, figures and pages")
    if manifest != run.manifest:
        notes.append("changed for the hub, paths of this machine made relative or left out: manifest.json")
    facts = clean_json(run_facts(run), without_local_paths)
    facts["name"] = run.path.resolve().name
    card = run_card(repo, facts, tables, licence, _NOT_IN_RUN, str(manifest.get("command") or ""))
    return Upload("dataset", [UploadFile(CARD, card.encode()), *files], notes)


def _rounds(run: Run) -> pd.DataFrame:
    """Metrics of complete rounds."""
    import pandas as pd

    return pd.DataFrame([{"round": number, **metrics} for number, metrics in enumerate(run.metrics())])


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose columns each have one type: numbers, truth values or texts; all else as JSON."""
    import pandas as pd

    plain = frame.copy()
    for name in plain.columns:
        values = plain[name]
        if values.isna().all():
            plain[name] = values.astype("float64")
        elif values.dtype == object and not values.dropna().map(lambda one: isinstance(one, str)).all():
            numbers = values.dropna().map(lambda one: isinstance(one, int | float) and not isinstance(one, bool)).all()
            plain[name] = (
                pd.to_numeric(values)
                if numbers
                else values.map(lambda one: json.dumps(one, ensure_ascii=False, default=str), na_action="ignore")
            )
    return plain


def _clean_table(path: Path, folders: Sequence[str]) -> tuple[int, list[str]]:
    """Shorten paths of this machine in the texts of a table, where there are any; return its rows and columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def clean(text: str) -> str:
        return without_local_paths(text) if any(folder in text for folder in folders) else text

    table = pq.read_table(path)
    columns = list(table.column_names)
    changed = False
    parts = []
    for batch in table.to_batches(max_chunksize=1_000):
        rows = batch.to_pylist()
        cleaned = clean_json(rows, clean)
        changed = changed or cleaned != rows
        parts.append(pa.RecordBatch.from_pylist(cleaned, schema=table.schema) if cleaned != rows else batch)
    if changed:
        pq.write_table(pa.Table.from_batches(parts, schema=table.schema), path, compression="zstd")
    return table.num_rows, columns
