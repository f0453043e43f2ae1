"""``sandbox why``: which rows of a training moved an answer."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from sandbox.cli.app import Json, app
from sandbox.cli.output import say, say_json, table

_MEANS = (
    "similarity: cosine of gradients over the adapter's last weights. Above 0, one more step on the row would make the answer "
    "likelier, below 0 less likely; it does not prove what the training did"
)


@app.command()
def why(
    model: Annotated[str, typer.Argument(help="A model trained here with an adapter: hf:FOLDER.")],
    answer: Annotated[str, typer.Argument(help="The answer to be explained.")],
    question: Annotated[str, typer.Option(help="The question that it answers.")],
    rows: Annotated[
        list[str] | None,
        typer.Option(help="Run or file of rows; may be repeated. Default: those that the model was trained on."),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of rows shown at either end; --json lists all.", min=1)] = 5,
    max_length: Annotated[int, typer.Option(help="Maximum number of tokens of a prompt with an answer.", min=8)] = 512,
    as_json: Json = False,
) -> None:
    """Show which training rows make an answer likelier or less likely, and where in the run they come from."""
    from sandbox.progress import Progress, progress
    from trainers.diagnosis.attribution import attribute

    with ExitStack() as stack:
        shown: list[Progress] = []

        def advance(share: float) -> None:
            if not shown:  # what is refused is refused without a bar
                shown.append(stack.enter_context(progress("gradients", 1.0, quiet=as_json)))
            shown[0](share)

        found = attribute(model, question, answer, sources=rows or (), max_length=max_length, on_progress=advance)
    if as_json:
        say_json({"question": question, "answer": answer, "means": _MEANS, "rows": [one.as_dict() for one in found]})
        return
    likelier = [one for one in found if one.similarity > 0][:top]
    less = [one for one in reversed(found) if one.similarity < 0][:top]
    for title, chosen in (("make it likelier", likelier), ("make it less likely", less)):
        if chosen:
            table(
                title, ["similarity", "row", "question", "its best answer", "said by"], [_cells(one) for one in chosen]
            )
    say(f"{len(found)} rows. {_MEANS}.")


def _cells(one: Any) -> list[str]:
    places = [f"{p['run']}, round {p['round']}, agent {p['agent'] + 1}" for p in one.places[:2]]
    more = f" and {len(one.places) - 2} more" if len(one.places) > 2 else ""
    return [f"{one.similarity:+.3f}", str(one.row), one.question, one.answer, "; ".join(places) + more]
