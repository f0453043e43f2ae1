"""The conformance kit: every built-in passes it, and a plugin that breaks a promise is told which."""

from __future__ import annotations

import json
import random
import re
import runpy
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from stub_server import StubServer

from sandbox import Dimension, Example, Interaction, Rating, Reply, Rubric, Scenario, Upbringing, open_run, registry
from sandbox.agents import Reviewer
from sandbox.embedders import HashingEmbedder
from sandbox.errors import RunExists
from sandbox.models.scripted import ScriptedModel
from sandbox.testing import (
    BrokenPromise,
    check_embedder,
    check_model,
    check_plot,
    check_protocol,
    check_rater,
    check_scenario,
    check_trainer,
    tiny_lm,
    tiny_rows,
    tiny_run,
)
from trainers import RowKind, TrainedModel, TrainingSettings
from trainers.row_checks import check_rows
from trainers.sft import SFT

# Names of built-ins alone: what else is installed here is checked by whoever wrote it.
BUILT_IN = {kind: [p.name for p in registry.plugins(kind) if p.package == "social-sandbox"] for kind in registry.KINDS}
# The loss of answers drawn anew in each step says nothing of how well a trainer learns.
ONLINE = ("grpo",)


def broken(words):
    return pytest.raises(BrokenPromise, match=words)


# -- built-ins -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN["scenarios"])
def test_scenarios_keep_their_promises(name):
    check_scenario(name)


@pytest.mark.parametrize("name", BUILT_IN["protocols"])
def test_protocols_keep_their_promises(name):
    check_protocol(name)


# Answering anew at every step takes its time.
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n == "grpo" else n for n in BUILT_IN["trainers"]]
)
def test_trainers_keep_their_promises(name):
    check_trainer(name, lowers=None if name in ONLINE else "loss")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A run, and every request that was made in it."""
    model = ScriptedModel()
    path = tiny_run(tmp_path_factory.mktemp("recorded") / "run", model=model)
    return path, model.history


@pytest.mark.parametrize("name", BUILT_IN["models"])
def test_language_models_keep_their_promises(name, tiny_lm_path, recorded, monkeypatch):
    if name == "openai":
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        with StubServer() as server:
            # It says the same to everybody, and knows of no limit and no stop string.
            asked = [r for r in recorded[1] if not r.choices and r.max_tokens > 20][:4]
            check_model(f"openai:stub@{server.url}", requests=asked)
    elif name == "replay":
        check_model(f"replay:{recorded[0]}", requests=recorded[1])
    elif name == "scripted":
        check_model("scripted:", stops=False)
    else:
        assert name == "hf"
        check_model(f"hf:{tiny_lm_path}")


@pytest.mark.parametrize("name", BUILT_IN["raters"])
def test_raters_keep_their_promises(name, recorded, tmp_path):
    if name == "reward":
        check_rater(f"reward:{tiny_reward_model(tmp_path)}")
    elif name == "replay":
        run = open_run(recorded[0])
        told = [(it.question, it.draft) for it in run.interactions() if it.feedback and it.feedback[0].reviewer == 1]
        with_agents = tiny_world_of(tmp_path)
        check_rater(f"replay:{recorded[0]}", items=told, rater_of=[Reviewer(with_agents[1], with_agents[0])])
    else:
        check_rater(name)


def tiny_reward_model(folder):
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    path = tiny_lm(folder / "lm")
    config = LlamaConfig.from_pretrained(path)
    config.num_labels = 1
    LlamaForSequenceClassification(config).save_pretrained(folder / "reward")
    AutoTokenizer.from_pretrained(path).save_pretrained(folder / "reward")
    return folder / "reward"


def tiny_world_of(folder):
    from sandbox import World

    world = World("value_alignment", model="scripted:", embedder="hashing", size=3, out=folder / "world")
    world.close()
    return world.members


@pytest.mark.parametrize("name", BUILT_IN["embedders"])
def test_embedders_keep_their_promises(name, recorded):
    if name == "replay":
        questions = list(dict.fromkeys(it.question for it in open_run(recorded[0]).interactions()))
        check_embedder(f"replay:{recorded[0]}", texts=questions)
    elif name == "openai":
        with StubServer() as server:
            check_embedder(f"openai:stub@{server.url}")
    else:
        check_embedder(name)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_lm_path):
    """What pictures other than those of runs are drawn of: a training, an evaluation, a sweep, a comparison."""
    from sandbox.sweep import sweep
    from trainers import load_trainer
    from trainers.comparison_table import summary, write_comparison
    from trainers.evaluate import Evaluation, write_evaluation
    from trainers.evolve import Evolution

    place = tmp_path_factory.mktemp("folders")
    settings = {"max_steps": 2, "progress": False, "device": "cpu"}
    load_trainer("sft", **settings).train(
        tiny_rows("demonstrations"), base=f"hf:{tiny_lm_path}", out=place / "training"
    )
    evaluation = Evaluation(["scripted:", ScriptedModel()], ["A?", "B?"], names=["a", "b"], embedder="hashing")
    write_evaluation(evaluation.run(), place / "comparison")
    shutil.copytree(place / "comparison", place / "scorecard")
    sweep("value_alignment", grid={"size": [2, 3]}, seeds=2, rounds=1, model="scripted:", embedder="hashing",
          out=place / "sweep")  # fmt: skip
    record = {"status": "done", "scores": {"heldout alignment": {"A?": 4.0, "B?": 5.0}}, "answer_tokens": 9.0}
    trained = {**record, "seconds": 1.0, "cpu_seconds": 1.0, "memory_mib": 100.0}
    header = {"schema": 1, "command": "", "base": "smollm2", "judge": "values", "seeds": [0]}
    done = summary(header, {"sft": {"tokens": 100}}, {"base": record, "sft-0": trained})
    (place / "trainers").mkdir()
    write_comparison(done, place / "trainers")
    small = {"size": 2, "embedder": "hashing", "rater": "values", "max_tokens": 6, "reason_tokens": 6}
    Evolution("value_alignment", out=place / "evolution", base=f"hf:{tiny_lm_path}", generations=1, rounds=1,
              n_questions=2, max_tokens=4, settings=small, training={"max_steps": 2, "progress": False}).run()  # fmt: skip
    return place


@pytest.mark.parametrize("name", BUILT_IN["plots"])
def test_pictures_keep_their_promises(name, folders):
    check_plot(name, folders / name if (folders / name).exists() else None)


# -- trainers that break a promise -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnSettings:
    rate: float = 0.1


class Own:
    """A trainer of nothing but the contract, which copies its base; children break one promise each."""

    name = "own"
    accepts = "ranked"
    Settings = OwnSettings
    losses = (3.0, 2.0, 1.0)
    noise = 0.0

    def __init__(self, settings=None):
        self.settings = settings or OwnSettings()

    def train(self, rows, *, base, out):
        check_rows(rows, self.name, RowKind(self.accepts))
        if out.exists():
            raise RunExists(f"{out} is there")
        tiny_lm(out, seed=1 + int(self.noise * random.SystemRandom().random()))
        history = [{"step": i + 1, "loss": loss} for i, loss in enumerate(self.losses)]
        trained = TrainedModel(f"hf:{out}", out, {"loss": self.losses[-1]}, history)
        about = {"schema": 1, "trainer": self.name, "base": base, "settings": {}, "metrics": trained.metrics}
        (out / "training.json").write_text(json.dumps({**about, "history": history}), encoding="utf-8")
        return trained


def test_a_trainer_needs_nothing_but_the_contract():
    check_trainer(Own)


class NoName(Own):
    name = None


class WrongRows(Own):
    accepts = "pairs"


class NoDataclass(Own):
    Settings = dict


@dataclass(frozen=True)
class Needy:
    rate: float


class NoDefaults(Own):
    Settings = Needy


@dataclass(frozen=True)
class Unreadable:
    rates: object = frozenset({1})


class NotFromText(Own):
    Settings = Unreadable

    def __init__(self, settings=None):
        self.settings = settings or Unreadable()


class TakesAnything(Own):
    def train(self, rows, *, base, out):
        if "completions" not in rows.column_names:
            raise ValueError("no column completions")
        return super().train(rows, base=base, out=out)


class Overwrites(Own):
    def train(self, rows, *, base, out):
        check_rows(rows, self.name, RowKind(self.accepts))
        out.mkdir(exist_ok=True)
        return None


class Elsewhere(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        return replace(trained, uri=f"hf:{out}-elsewhere")


class Silent(Own):
    losses = (1.0,)


class Rises(Own):
    losses = (1.0, 2.0, 3.0)


class Restless(Own):
    noise = 1e6


class Unchanged(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        about = (out / "training.json").read_text(encoding="utf-8")
        tiny_lm(out)
        (out / "training.json").write_text(about, encoding="utf-8")
        return trained


class Unsigned(Own):
    def train(self, rows, *, base, out):
        trained = super().train(rows, base=base, out=out)
        (out / "training.json").unlink()
        return trained


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NoName, "it has a name, which models and errors mention"),
        (WrongRows, "it says which kind of rows it learns from\n  found: accepts is 'pairs'"),
        (NoDataclass, "its settings are a dataclass"),
        (NoDefaults, "every setting has a default"),
        (NotFromText, r"every setting comes back from text, as --set gives it\n  found: rates="),
        (TakesAnything, "rows of the wrong kind are refused with the command that makes the right ones"),
        (Overwrites, "a folder that holds something is refused\n  found: nothing was raised"),
        (Elsewhere, "the result loads by its URI and answers a request\n  found: ModelNotFound"),
        (Silent, "its history has a record with step and loss for each step"),
        (Rises, r"two steps on one batch lower the loss\n  found: loss 1.0000, 2.0000, 3.0000"),
        (Restless, "the same seed gives the same weights"),
        (Unchanged, "training changes the weights"),
        (Unsigned, "training.json tells pictures and reports how it was made"),
    ],
)
def test_a_trainer_is_told_which_promise_it_breaks(kind, words):
    with broken(words):
        check_trainer(kind)


def test_a_broken_promise_says_whose_it_is_what_was_found_and_how_to_mend_it():
    with pytest.raises(BrokenPromise) as error:
        check_trainer(WrongRows)
    assert isinstance(error.value, AssertionError)
    assert str(error.value) == (
        "trainer 'WrongRows' breaks a promise: it says which kind of rows it learns from\n"
        "  found: accepts is 'pairs'\n"
        "  mend:  set accepts to one of ranked, preferences, demonstrations, unpaired, prompts (trainers.RowKind)"
    )


class Renamed(SFT):
    name = "fine_tuning"


def test_a_trainer_is_called_what_it_is_installed_as(monkeypatch):
    entry = registry.Plugin("trainers", "renamed", f"{__name__}:Renamed", "elsewhere")
    monkeypatch.setattr(registry, "plugins", lambda kind: [entry])
    with broken(
        "its name is the one it is installed under\n  found: name is 'fine_tuning', and its entry point is 'ren"
    ):
        check_trainer(Renamed)


def test_a_trainer_that_is_not_installed():
    with broken(r"trainer 'stf' breaks a promise: it can be imported\n  found: UnknownPlugin: no trainer named 'stf'"):
        check_trainer("stf")


def test_settings_and_rows_of_ones_own(tiny_lm_path):
    """Full weights move less than adapters, so their rate is given; rows are those of the contract."""
    given = {"lora": False, "learning_rate": 1e-2}
    check_trainer("sft", rows=tiny_rows("demonstrations"), base=f"hf:{tiny_lm_path}", settings=given)
    assert TrainingSettings().lora


def test_the_example_of_a_trainer_of_ones_own(capsys):
    example = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "04_own_trainer.py"))
    example["main"]()
    said = re.fullmatch(
        r"listwise does what trainers promise\n\d+ questions, \d+ steps: loss (\d\.\d{3}), then (\d\.\d{3})\n",
        capsys.readouterr().out,
    )
    assert said is not None
    assert float(said[2]) < float(said[1])


# -- language models ---------------------------------------------------------------------------------------------


def says(react, **fields):
    model = ScriptedModel(replies=react)
    for name, value in fields.items():
        setattr(model, name, value)
    return model


def good(request):
    return ScriptedModel().generate([request])[0]


class Shuffled(ScriptedModel):
    def generate(self, requests):
        return super().generate(requests)[::-1]


class Raises(ScriptedModel):
    def generate(self, requests):
        if any(len(r.messages[0].content) > 10_000 for r in requests):
            raise ValueError("too long")
        return super().generate(requests)


class Forgets(ScriptedModel):
    def generate(self, requests):
        return super().generate(requests)[:3]


def drawn_anew(request):
    return replace(good(request), text=random.choice(request.choices or ["a", "b", "c", "d"]), choice_probs=None)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (says(good, fingerprint=""), "it has a fingerprint, which manifests keep"),
        (says(good, default_rater="judge"), "its default_rater is installed\n  found: default_rater is 'judge'"),
        (says(good, agenerate=print), "agenerate, where it has one, is a coroutine function"),
        (Forgets(), "it gives one reply for each request\n  found: 0 replies to no request, 3 to 6"),
        (says(lambda r: replace(good(r), completion_tokens=99)), "writes no more than max_tokens"),
        (says(lambda r: replace(good(r), text=" a")), "text has no white space around it"),
        (says(lambda r: replace(good(r), finish_reason="eos")), "finish_reason is one of stop, length, error"),
        (says(lambda r: replace(good(r), text=f"{r.prefix or 'x'} y")), "prefix is no part of the text"),
        (says(lambda r: replace(good(r), text="x")), "the reply is one of the choices"),
        (says(lambda r: replace(good(r), choice_probs={"1": 0.5})), "choice_probs hold every choice, and sum to 1"),
        (says(lambda r: Reply("", error="down", finish_reason="error")), "it answers a plain request"),
        (says(drawn_anew), "the same request gives the same reply, whatever is asked with it"),
        (Shuffled(), "the reply is one of the choices"),
        (Raises(), "it never raises for one request\n  found: ValueError: too long"),
        (ScriptedModel(), "a reply ends before a stop string"),
        ("scriptd:", "it is made from the text behind its name\n  found: UnknownPlugin"),
    ],
)
def test_a_language_model_is_told_which_promise_it_breaks(model, words):
    with broken(words):
        check_model(model)


# -- raters and embedders ------------------------------------------------------------------------------------------


class Rates:
    name = "rates"

    def __init__(self, react):
        self.react = react

    def rate(self, items, *, rater_of):
        return [self.react(question, answer, rater_of) for question, answer in items]


class Lost(Rates):
    def rate(self, items, *, rater_of):
        return super().rate(items[:1], rater_of=rater_of)


@pytest.mark.parametrize(
    ("rater", "words"),
    [
        (Rates(lambda q, a, of: Rating(-1)), r"a rating is in 1..7, or None\n  found: value -1"),
        (Rates(lambda q, a, of: Rating(7)), r"a rating is in 1..5, or None\n  found: value 7"),
        (Rates(lambda q, a, of: Rating(4, (0.5, 0.5))), "a distribution has a probability for each of 1..7"),
        (Rates(lambda q, a, of: Rating(1 + 4 * random.random())), "the same answer has the same rating"),
        (
            Rates(lambda q, a, of: Rating(float(a[0] == "T"))),
            "it rates any answer for Reviewer on a scale of 7\n  found: I",
        ),
        (
            Rates(lambda q, a, of: Rating(of.agent.index + 1)),
            "it rates any answer for Judge on a scale of 7\n  found: A",
        ),
        (
            Lost(lambda q, a, of: Rating(4)),
            "it gives one Rating for each answer\n  found: 0 ratings of nothing, 1 of 6",
        ),
        (Rates(lambda q, a, of: 4), "it gives one Rating for each answer"),
    ],
)
def test_a_rater_is_told_which_promise_it_breaks(rater, words):
    with broken(words):
        check_rater(rater)


class Long(HashingEmbedder):
    def embed(self, texts):
        return 2 * super().embed(texts)


class Double(HashingEmbedder):
    def embed(self, texts):
        return super().embed(texts).astype(np.float64)


class Turned(HashingEmbedder):
    def embed(self, texts):
        return super().embed(sorted(texts))


class Blind(HashingEmbedder):
    def embed(self, texts):
        return super().embed(["same"] * len(texts))


class Bare(HashingEmbedder):
    def embed(self, texts):
        return np.stack([super(Bare, self).embed([text])[0] for text in texts])


@pytest.mark.parametrize(
    ("embedder", "words"),
    [
        (Long(), "every vector has length 1"),
        (Double(), r"embed gives a float32 array of shape .*\n  found: shape .* of float64"),
        (Turned(), "a text has the same vector whatever it is embedded with"),
        (Blind(), "other texts have other vectors"),
        (Bare(), "it embeds any list of texts\n  found: ValueError"),
        ("hashin", "it is made from the text behind its name"),
    ],
)
def test_an_embedder_is_told_which_promise_it_breaks(embedder, words):
    with broken(words):
        check_embedder(embedder)


# -- scenarios, protocols and pictures -----------------------------------------------------------------------------

ONE_KIND = Rubric((Dimension("alignment", "how good it is", (Example("Q", "A", True),)),))


def random_scenario():
    return Scenario("random", random.sample([f"Question {i}?" for i in range(9)], 4))


def takes_anything(**settings):
    return Scenario("anything", ["Q?"])


def returns_a_list():
    return ["Q?"]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (random_scenario, "made twice it is the same, so that a run can be resumed\n  found: questions differ"),
        (returns_a_list, "it is a Scenario, or a function that returns one\n  found: a list"),
        (Scenario("s", ["Q?"], protocol="parliament"), "its protocol is installed\n  found: protocol 'parliament'"),
        (Scenario("s", ["Q?"], rubric=ONE_KIND), "labelled examples are good and bad"),
        (
            Scenario("s", ["Q?"], upbringing={"kind": [Upbringing("Q", "A")]}),
            "agents' labels are those that it brings up\n  found: bad, good in the population; brought up are kind",
        ),
        ("./nowhere.py", "it can be made\n  found: UnknownPlugin: scenario file 'nowhere.py' does not exist"),
    ],
)
def test_a_scenario_is_told_which_promise_it_breaks(scenario, words):
    with broken(words):
        check_scenario(scenario)


def test_a_scenario_refuses_settings_it_does_not_have(monkeypatch):
    monkeypatch.setattr(registry, "check_settings", lambda *_: None)
    with broken("an unknown setting is refused\n  found: nothing was raised"):
        check_scenario(takes_anything)


def finished(agent, question, world, draft, **fields):
    given = {"round": world.round, "agent": agent.index, "label": agent.label, "question": question, "draft": draft}
    return Interaction(**{**given, **fields})


def no_generator(agent, question, world):
    return None


def yields_text(agent, question, world):
    yield "say something"


def asks_chance(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, question, world, f"{draft.text} {random.SystemRandom().random()}")


def keeps_numbered(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, question, world, draft.text, extra={1: "one"})


def mistakes_itself(agent, question, world):
    draft = yield agent.answer(question)
    return finished(agent, "Q?", world, draft.text)


def counts_calls(agent, question, world):
    draft = yield agent.answer(question)
    world.counted = getattr(world, "counted", 0) + 1
    return finished(agent, question, world, draft.text, extra={"n": world.counted})


def takes_errors(agent, question, world):
    try:
        draft = yield agent.answer(question)
    except Exception as error:
        return finished(agent, question, world, str(error))
    return finished(agent, question, world, draft.text)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (no_generator, "it is a generator function"),
        (yields_text, r"every conversation ends with an answer\n  found: ProtocolError: a protocol yielded a str"),
        (asks_chance, "the record depends on the seed alone"),
        (mistakes_itself, "it returns an Interaction about the agent and question it was given"),
        (keeps_numbered, "an interaction can be kept as JSON and read back"),
        (counts_calls, "a run that was stopped and resumed has the same record"),
        (takes_errors, "an error is never taken for an answer"),
    ],
)
def test_a_protocol_is_told_which_promise_it_breaks(protocol, words):
    with broken(words):
        check_protocol(protocol)


def needs_more(run, title):
    return Figure()


def nothing_in_it(run):
    return Figure()


def picture(run):
    figure = Figure()
    figure.add_subplot().plot(run.frame()["round"])
    return figure


def needs_interactions(run):
    run.frame()["draft"].iloc[0]
    return picture(run)


def uses_pyplot(run):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1])
    return figure


def changes_settings(run):
    mpl.rcParams["lines.linewidth"] = 7.0
    return picture(run)


def writes_into_it(run):
    (Path(run.path) / "figure.txt").write_text("x", encoding="utf-8")
    return picture(run)


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        (needs_more, "its first parameter is what it draws, and every other has a default"),
        (nothing_in_it, "it gives a matplotlib Figure with something in it"),
        (needs_interactions, "it draws a run that was only just begun\n  found: IndexError"),
        (uses_pyplot, "it leaves pyplot alone"),
        (
            changes_settings,
            "it leaves the user's settings of matplotlib as they were\n  found: lines.linewidth changed",
        ),
        (writes_into_it, "it leaves the run as it was"),
    ],
)
def test_a_picture_is_told_which_promise_it_breaks(plot, words):
    import matplotlib.pyplot as plt

    with mpl.rc_context(), broken(words):
        check_plot(plot)
    plt.close("all")
