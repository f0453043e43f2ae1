"""All trainers train the bundled model on a small real record, and what they make loads and talks."""

from __future__ import annotations

import pytest

from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.world import World
from trainers import load_trainer, rows_from

# Few and short answers: this shows that it works, not what it brings.
SMALL = {"max_steps": 2, "batch_size": 2, "max_length": 160, "progress": False, "device": "cpu", "measure_kl": False}
TRAINERS = {
    "sft": {}, "dpo": {}, "kto": {}, "orpo": {}, "grpo": {"batch_size": 1, "answers": 2, "max_tokens": 12},
    "society_grpo": {"batch_size": 1, "group": 2, "society": {"agents": 4}},
    "rft": {}, "simpo": {}, "hindsight": {}, "rrhf": {}, "stable_alignment": {"measure_kl": True},
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """One round of a 3x3 society of the bundled model; three questions, so that answers to one can be compared."""
    out = tmp_path_factory.mktemp("record") / "run"
    world = World("value_alignment", model="smollm2", size=3, out=out, n_questions=3, max_tokens=24)
    world.run(rounds=1)
    world.close()
    return out


@pytest.mark.parametrize("name", TRAINERS)
def test_it_learns_from_a_real_record_and_talks(name, record, tmp_path):
    made = load_trainer(name, **{**SMALL, **TRAINERS[name]})
    trained = made.train(rows_from(record, made.accepts), base="smollm2", out=tmp_path / "m")
    assert [step["step"] for step in trained.history] == [1, 2]
    assert all(step["tokens_per_s"] > 0 for step in trained.history)
    model = load_model(trained.uri)
    assert model.default_rater == "values"  # it is known to come from the bundled model
    (reply,) = model.generate([Request((Message("user", "How do I make friends?"),), max_tokens=8)])
    assert reply.error is None
    assert reply.text
