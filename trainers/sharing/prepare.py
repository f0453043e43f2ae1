"""What a path holds, for a hub: a trained model, a file of rows, or a run."""

from __future__ import annotations

from pathlib import Path

from sandbox.errors import PushError
from sandbox.store.run import is_run, open_run
from trainers.sharing.dataset_upload import rows_upload, run_upload
from trainers.sharing.hub import check_name
from trainers.sharing.local_paths import check_no_local_paths
from trainers.sharing.model_upload import ADAPTER, model_upload
from trainers.sharing.upload import Upload

_EXPECTED = "expected a trained model's folder, a file of rows (.jsonl, .parquet), or a run folder"


def prepare_upload(
    source: Path, repo: str, work: Path, *, licence: str | None = None, base: str | None = None
) -> Upload:
    """Collect the files and the card of what is pushed.

    Args:
        source: A trained model's folder, a file of rows, or a run folder.
        repo: ``OWNER/NAME``.
        work: An empty folder for files that are made.
        licence: Identifier of the licence, such as ``apache-2.0``.
        base: Name of the model's base on the hub, where it is a local folder.

    Raises:
        PushError: the source is none of these, or not fit to share; or a name is invalid.
    """
    check_name(repo)
    if base is not None:
        check_name(base)
    is_model = (source / ADAPTER).is_file() or (source / "config.json").is_file()
    if base is not None and not is_model:
        raise PushError(f"--base names the base of a model; {source} is no model's folder")
    if is_model:
        upload = model_upload(source, repo, licence=licence, base=base)
    elif is_run(source):
        upload = run_upload(open_run(source), repo, work, licence=licence)
    elif source.is_file():
        upload = rows_upload(source, repo, licence=licence)
    elif source.is_dir():
        raise PushError(
            f"{source} is a folder without a model (config.json, adapter_config.json) or a run; {_EXPECTED}"
        )
    else:
        raise PushError(f"{source} does not exist; {_EXPECTED}")
    check_no_local_paths(upload.files, source)
    return upload
