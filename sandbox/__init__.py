"""Social Sandbox: simulate societies of language-model agents and learn from what they say to each other.

Names are imported when they are first used, so that ``import sandbox`` stays quick and loads no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.lazy_imports import lazy_names

if TYPE_CHECKING:
    from sandbox.conversation.steps import CallFailed, Conversation
    from sandbox.counterfactual.what_if import WhatIf, what_if
    from sandbox.data_files import read_questions, read_table, read_text
    from sandbox.environment.environment import SocietyEnv
    from sandbox.environment.episode import Episode, Observation, Turn
    from sandbox.memories.base import Recollection
    from sandbox.metrics.intervals import Interval, mean_interval
    from sandbox.models.base import LanguageModel, Message, Reply, Request
    from sandbox.models.catalog import load_model
    from sandbox.models.scripted import ScriptedModel
    from sandbox.records import Feedback, Heard, Interaction, Rating, Score
    from sandbox.scenario.loading import load_scenario
    from sandbox.scenario.measure import Measure
    from sandbox.scenario.personas import Personas, read_personas
    from sandbox.scenario.prompts import Prompts
    from sandbox.scenario.reward import Reward
    from sandbox.scenario.rubric import ALIGNMENT_WORDS, ENGAGEMENT_WORDS, Dimension, Example, Rubric, Upbringing
    from sandbox.scenario.scenario import Scenario, one_a_round
    from sandbox.seeding import keyed_rng
    from sandbox.society.context import SocietyContext
    from sandbox.society.speaker import dialogue
    from sandbox.store.run import Run, is_run, open_run
    from sandbox.survey.validation import validate_survey
    from sandbox.sweep.sweep import run_sweep
    from sandbox.world import World

_HOMES = {
    "World": "sandbox.world",
    "Run": "sandbox.store.run",
    "open_run": "sandbox.store.run",
    "Scenario": "sandbox.scenario.scenario",
    "Dimension": "sandbox.scenario.rubric",
    "Example": "sandbox.scenario.rubric",
    "Measure": "sandbox.scenario.measure",
    "Reward": "sandbox.scenario.reward",
    "Rubric": "sandbox.scenario.rubric",
    "Upbringing": "sandbox.scenario.rubric",
    "one_a_round": "sandbox.scenario.scenario",
    "load_scenario": "sandbox.scenario.loading",
    "read_questions": "sandbox.data_files",
    "read_table": "sandbox.data_files",
    "read_text": "sandbox.data_files",
    "keyed_rng": "sandbox.seeding",
    "WhatIf": "sandbox.counterfactual.what_if",
    "what_if": "sandbox.counterfactual.what_if",
    "CallFailed": "sandbox.conversation.steps",
    "Conversation": "sandbox.conversation.steps",
    "SocietyContext": "sandbox.society.context",
    "dialogue": "sandbox.society.speaker",
    "ALIGNMENT_WORDS": "sandbox.scenario.rubric",
    "ENGAGEMENT_WORDS": "sandbox.scenario.rubric",
    "SocietyEnv": "sandbox.environment.environment",
    "Episode": "sandbox.environment.episode",
    "Observation": "sandbox.environment.episode",
    "Turn": "sandbox.environment.episode",
    "ScriptedModel": "sandbox.models.scripted",
    "load_model": "sandbox.models.catalog",
    "is_run": "sandbox.store.run",
    "run_sweep": "sandbox.sweep.sweep",
    "validate_survey": "sandbox.survey.validation",
    "Interval": "sandbox.metrics.intervals",
    "mean_interval": "sandbox.metrics.intervals",
    "Personas": "sandbox.scenario.personas",
    "read_personas": "sandbox.scenario.personas",
    "Prompts": "sandbox.scenario.prompts",
    "Interaction": "sandbox.records",
    "Feedback": "sandbox.records",
    "Heard": "sandbox.records",
    "Recollection": "sandbox.memories.base",
    "Rating": "sandbox.records",
    "Score": "sandbox.records",
    "LanguageModel": "sandbox.models.base",
    "Message": "sandbox.models.base",
    "Request": "sandbox.models.base",
    "Reply": "sandbox.models.base",
}

__all__ = [
    "ALIGNMENT_WORDS",
    "ENGAGEMENT_WORDS",
    "CallFailed",
    "Conversation",
    "Dimension",
    "Episode",
    "Example",
    "Feedback",
    "Heard",
    "Interaction",
    "Interval",
    "LanguageModel",
    "Measure",
    "Message",
    "Observation",
    "Personas",
    "Prompts",
    "Rating",
    "Recollection",
    "Reply",
    "Request",
    "Reward",
    "Rubric",
    "Run",
    "Scenario",
    "Score",
    "ScriptedModel",
    "SocietyContext",
    "SocietyEnv",
    "Turn",
    "Upbringing",
    "WhatIf",
    "World",
    "dialogue",
    "is_run",
    "keyed_rng",
    "load_model",
    "load_scenario",
    "mean_interval",
    "one_a_round",
    "open_run",
    "read_personas",
    "read_questions",
    "read_table",
    "read_text",
    "run_sweep",
    "validate_survey",
    "what_if",
]

__getattr__ = lazy_names(__name__, _HOMES)
