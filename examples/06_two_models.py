"""Two language models in one society: one per label, and one per half of the agents.

    python examples/06_two_models.py [GOOD BAD]      # for example smollm2 hf:models/first

Command line: sandbox run value_alignment --model good=smollm2,bad=hf:models/first
"""

import sys

from sandbox import LanguageModel, ScriptedModel, World


def main(good: str | LanguageModel, bad: str | LanguageModel, **settings: object) -> None:
    world = World("value_alignment", model={"good": good, "bad": bad}, size=3, **settings)
    run = world.run(rounds=2)
    # agents() says who speaks through what; frame() has a row for each interaction.
    frame = run.frame().merge(run.agents()[["agent", "model"]], on="agent")
    print(frame.groupby(["label", "model"])[["rating", "alignment_before", "alignment_after"]].mean().round(2))

    # By shares, at random, whatever the labels: who reviews whom is the same, as the seed is.
    mixed = World("value_alignment", model={good: 0.5, bad: 0.5}, size=3, **settings) if isinstance(good, str) else None
    if mixed is not None:
        print(mixed.run(rounds=1).agents()["model"].value_counts().to_string())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(sys.argv[1], sys.argv[2])
    else:  # two that cost nothing, to see how it goes
        kind, rude = (ScriptedModel(replies=[word, *"1234567"]) for word in ("Be kind to them.", "Who cares?"))
        kind.uri, rude.uri = "scripted:kind", "scripted:rude"
        main(kind, rude, embedder="hashing")
