"""What outside packages run in their own tests: one check for each kind of plugin, and tiny parts to test with.

A check takes a plugin as it is installed (its name), as ``module:object`` or ``./file.py``, or the object itself, puts
it to work on something tiny, and raises :class:`BrokenPromise` where it does not do what its kind promises: the message
says which promise, what was found, and how to mend it. Nothing is downloaded and nothing is left behind::

    from sandbox.testing import check_trainer

    def test_my_trainer(): check_trainer("my_trainer")
"""

from __future__ import annotations

from sandbox.testing.contract import BrokenPromise
from sandbox.testing.embedder import check_embedder
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
