"""Figures as files: every format, the same bytes each time, and any text in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from by_hand import TEXTS, told

from sandbox.errors import SettingsError
from sandbox.store.run import Run
from visualize.drawing.saving import image, save
from visualize.plots import grid, pareto, ratings, social_graph

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("suffix", STARTS)
def test_the_same_figure_gives_the_same_bytes(society: Run, tmp_path: Path, suffix: str) -> None:
    paths = [save(grid.draw(society), tmp_path / "new" / f"{n}.{suffix}") for n in (1, 2)]
    first, second = (path.read_bytes() for path in paths)
    assert first.startswith(STARTS[suffix])
    assert first == second


def test_another_suffix_is_refused(society: Run, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as error:
        save(grid.draw(society), tmp_path / "map.gif")
    assert str(error.value) == "'map.gif' does not end in .png, .svg, .pdf; choose one of them"
    assert not (tmp_path / "map.gif").exists()


@pytest.mark.parametrize("suffix", STARTS)
def test_text_in_any_script_can_be_written(make_run: Callable[..., Run], tmp_path: Path, suffix: str) -> None:
    """As labels, as names and as dimensions; SVG stays XML, with no element but matplotlib's."""
    said = list(TEXTS.values())
    dimensions = (TEXTS["html"], TEXTS["control"])
    interactions = [
        told(0, i, (2.0, 3.0), (4.0, 5.0), {(i + 1) % len(said): 3.0}, label=label, dimensions=dimensions)
        for i, label in enumerate(said)
    ]
    run = make_run(interactions, labels=said, names=said, dimensions=dimensions, width=3)
    for number, draw in enumerate((grid.draw, social_graph.draw, ratings.draw, pareto.draw)):
        path = save(draw(run), tmp_path / f"{number}.{suffix}")
        assert path.read_bytes().startswith(STARTS[suffix])
        if suffix == "svg":
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
            assert not tags & {"img", "script", "foreignObject"}


def test_text_in_an_svg_stays_text(make_run: Callable[..., Run]) -> None:
    run = make_run([told(0, 0, (2.0, 2.0), (3.0, 3.0), label=TEXTS["chinese"])], labels=[TEXTS["chinese"], "b"])
    root = ElementTree.fromstring(image(grid.draw(run), "svg"))
    assert TEXTS["chinese"] in ["".join(e.itertext()).strip() for e in root.iter() if e.tag.endswith("text")]
