"""Docstrings of trainers, from which their pages are made: each has its loss, its paper, when it suits and when it fails."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sandbox.registry import plugins
from trainers.base import trainer_class

pytestmark = pytest.mark.needs_torch

BUILT_IN = [plugin.name for plugin in plugins("trainers") if plugin.value.startswith("trainers.")]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_trainer_has_all_that_its_page_shows(name, docs_site):
    found = docs_site("method_docstrings").sections(trainer_class(name))
    formulas = docs_site("formulas")
    for latex in re.findall(r"`\$+([^$]+)\$+`", formulas.marked(found["Loss"])):
        assert formulas.mathml(latex, "block").startswith("<math")
    words = docs_site("tables").described(trainer_class(name).Settings)
    assert [f.name for f in dataclasses.fields(trainer_class(name).Settings) if not words.get(f.name)] == []


def test_what_a_docstring_lacks_is_named(docs_site):
    class Half:
        """A method.

        Loss:
            As usual.

        Suits:
            Everything.
        """

    with pytest.raises(
        ValueError,
        match=r"Half lacks the section Fails:, its paper, as \(arXiv:NUMBER\), a formula between \$\$ in Loss$",
    ):
        docs_site("method_docstrings").sections(Half)


def test_metrics_are_inherited(docs_site):
    """Those of the base class, then those of all trainers; a pattern stands for all names that it fits."""
    read = docs_site("method_docstrings")
    assert list(read.metrics(trainer_class("rrhf")))[:4] == ["nll_best", "reward_margin", "preference_accuracy", "loss"]
    assert "reward_margin" not in read.metrics(trainer_class("sft"))
    assert read.undocumented(trainer_class("dpo"), ["step", "loss", "rewards/chosen", "clipped"]) == ["clipped"]


def test_formulas_become_mathml(docs_site):
    read = docs_site("formulas")
    assert read.marked("With $a_b$:\n$$\\frac{a}\n{b}$$") == "With `$a_b$`:\n\n\n`$$\\frac{a} {b}$$`\n\n"
    drawn = read.drawn("<p>With <code>$a &lt; b$</code>, <code>$HOME</code>:</p><p><code>$$\\log a$$</code></p>")
    assert drawn.count("<math") == 2
    assert "<mi>a</mi><mo>&#x0003C;</mo><mi>b</mi>" in drawn
    assert "<code>$HOME</code>" in drawn
    with pytest.raises(ValueError, match="a dollar without a partner"):
        read.marked("It costs 5 $.")
    for latex in (r"\frac{a", r"\frac", r"\froc{a}{b}"):
        with pytest.raises(ValueError, match="cannot be read"):
            read.mathml(latex, "inline")
