"""``sandbox export-model``: writes a model with its adapters merged, ready to be loaded or served elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json


@app.command("export-model")
def export_model(
    uri: Annotated[str, typer.Argument(help="Model URI: hf:models/first, smollm2, hf:HUB_NAME.")],
    out: Annotated[Path, typer.Option(help="Folder to write: weights, tokenizer, README.md and Modelfile.")],
    dtype: Annotated[
        str, typer.Option(help="auto (that of the base's file), float32, bfloat16 or float16; merged in float32.")
    ] = "auto",
    name: Annotated[str | None, typer.Option(help="Name to serve the model as; default: the folder's.")] = None,
    as_json: Json = False,
) -> None:
    """Merge a model's adapters into full weights, with a model card and the commands for vLLM and Ollama."""
    from sandbox.models.local import export

    found = export.export_model(uri, out, dtype=dtype, name=name)
    if as_json:
        say_json({**vars(found), "path": str(found.path)})
        return
    adapters = f", {found.merged} adapter{'s' if found.merged > 1 else ''} merged" if found.merged else ""
    say(f"{found.path}: full weights in {found.dtype}{adapters}")
    say(f"  {found.vllm}")
    say(f"  {found.ollama}")
