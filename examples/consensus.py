"""Does a model agree with itself more after it has learnt from a jury's majority? Preferences from deliberations.

    python examples/consensus.py [--seeds 3] [--workers 2] [--out consensus] [--markdown docs/studies.md]

After arXiv:2509.15172, in small: in the scenario ``jury`` all jurors speak through one model; they judge cases, read each
other's reasons, and vote. Answers of the majority are preferred to those of the minority (``sandbox train RUN --reward
agreement --trainer dpo``). Before and after, jurors judge cases privately that were not heard: consistency is the probability
that two of them agree. A model that says the same of every case is consistent too, so that the table also has how far apart it
judges cases with overwhelming evidence and cases with none. What is finished is not done again. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from study import Study, Unit, arguments, difference_table, draw, finish, run_units

from sandbox import Conversation, World, load_scenario, one_a_round, open_run
from trainers import load_trainer, preference_rows

ARMS = {"majority": "agreement"}
# Pairs of cases: of the first of each the evidence is overwhelming, of the second there is none.
CASES = [
    "A man is accused of robbing a bank. Three cameras filmed his face, and the notes were in his bag. Is he guilty?",
    "A man is accused of robbing a bank. At that hour he was in hospital, and nobody saw him near it. Is he guilty?",
    "A nurse is accused of stealing medicine. She was filmed taking it, and sold it the same day. Is she guilty?",
    "A nurse is accused of stealing medicine. None is missing, and she was on leave that week. Is she guilty?",
    "A boy is accused of breaking a window. Five neighbours saw him throw the stone, and he says so himself. Is he guilty?",
    "A boy is accused of breaking a window. The hail broke it, and he was abroad with his school. Is he guilty?",
]


def decide(agent: Any, question: str, world: World) -> Conversation:
    """A juror decides privately."""
    choice = yield agent.choose(question)
    return world.interaction(agent, question, draft=choice.raw, extra={"probs": dict(choice.probs or {})})


def judge(folder: Path, model: str, unit: Unit) -> dict[str, list[float]]:
    """Consistency of each case that was not heard, and how far apart each pair of cases is judged."""
    jury = load_scenario("jury", {})
    cases = replace(jury, questions=CASES, ask=one_a_round, stages=[decide], settle=None, measures={}, reward={})
    world = World(
        cases, model=model, seed=unit.seed, out=folder, resume=True, agents=unit.study.size["jurors"], embedder="hashing",
        observer="scripted:",
    )  # fmt: skip
    with closing(world):
        world.run(len(CASES))
    run = open_run(folder)
    guilty = [
        np.array([it.extra["probs"]["guilty"] for it in run.interactions(n) if not it.error]) for n in range(len(CASES))
    ]
    return {
        "consistency": [agree(p) for p in guilty],
        "evidence": [float(guilty[n].mean() - guilty[n + 1].mean()) for n in range(0, len(CASES), 2)],
    }


def agree(p: np.ndarray) -> float:
    """Probability that two different jurors agree, given their probabilities of "guilty"."""
    n, one, other = len(p), p.sum(), (1 - p).sum()
    return float((one**2 - (p**2).sum() + other**2 - ((1 - p) ** 2).sum()) / (n * (n - 1)))


def learn(unit: Unit) -> dict[str, list[float]]:
    """Hear cases, learn from the majority, and judge before and after."""
    size, base = unit.study.size, unit.study.model
    world = World(
        "jury", model=base, seed=unit.seed, out=unit.folder / "run", resume=True, agents=size["jurors"], embedder="hashing",
        observer="scripted:", max_tokens=size["max_tokens"],
    )  # fmt: skip
    with closing(world):
        world.run(size["cases"])
    model = unit.folder / "model"
    rows = preference_rows(open_run(unit.folder / "run"), reward=ARMS[unit.arm])
    if len(rows) and not (model / "training.json").exists():
        trainer = load_trainer(
            "dpo", max_steps=size["steps"], learning_rate=1e-4, seed=unit.seed, measure_kl=False, progress=False
        )
        trainer.train(rows, base=base, out=model)
    before, after = (
        judge(unit.folder / "before", base, unit),
        judge(unit.folder / "after", f"hf:{model}" if len(rows) else base, unit),
    )
    return {f"{name} {when}": of[name] for when, of in (("before", before), ("after", after)) for name in of}


def axis(ax: Axes, study: Study) -> None:
    """Name the axis."""
    ax.set_xlabel("probability that two jurors agree on a case that was not heard")
    ax.set_xlim(0.4, 1)


def main() -> None:
    """Run what is missing, and write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = {"jurors": 9, "cases": 4, "max_tokens": 32, "steps": 12}
    given, study = arguments(parser, "consensus", size)
    found = run_units(study, learn, list(ARMS), given.workers)
    text = "\n\n".join(difference_table(found, name) for name in ("consistency", "evidence"))
    about = (
        f"`jury`, {size['jurors']} jurors, {size['cases']} cases, {size['steps']} steps of `dpo` (none where a jury was "
        "unanimous). Units of each seed: for "
        f"consistency the {len(CASES)} cases of the evaluation, for evidence their {len(CASES) // 2} pairs: probability of "
        '"guilty" where the evidence is overwhelming less that where there is none, 0 to 1. '
    )
    finish(study, given, text, about, draw(found, lambda ax: axis(ax, study), "consistency"))


if __name__ == "__main__":
    main()
