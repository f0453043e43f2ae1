"""Contract checks for plugins, one per kind, and tiny models, rows and runs to test with.

A check takes the name of an installed plugin, ``module:object``, ``./file.py`` or the object itself, runs it on tiny
inputs, and raises :class:`BrokenPromise` if it violates the contract of its kind: the message states the requirement,
what was found, and how to fix it. Nothing is downloaded and no files remain::

    from sandbox.testing import check_trainer

    def test_my_trainer(): check_trainer("my_trainer")
"""

from __future__ import annotations

from sandbox.testing.contract import BrokenPromise
from sandbox.testing.embedder import check_embedder
from sandbox.testing.memory import check_memory
from sandbox.testing.model import check_model
from sandbox.testing.plot import check_plot
from sandbox.testing.rater import check_rater
from sandbox.testing.rows import tiny_rows
from sandbox.testing.scenario import check_protocol, check_scenario
from sandbox.testing.tiny import tiny_lm, tiny_run
from sandbox.testing.trainer import check_trainer

__all__ = [
    "BrokenPromise",
    "check_embedder",
    "check_memory",
    "check_model",
    "check_plot",
    "check_protocol",
    "check_rater",
    "check_scenario",
    "check_trainer",
    "tiny_lm",
    "tiny_rows",
    "tiny_run",
]
