"""A reward of your own outcome: agents are paid for short answers, and a model is trained on what was paid.

The model is tiny and created here, so that it takes seconds: python examples/17_reward.py. With a real one:

    sandbox run examples/17_reward.py --out runs/brief
    sandbox train runs/brief --reward brevity --trainer rft --out models/brief
"""

import tempfile
from pathlib import Path

from sandbox import Reward, Scenario, World, open_run
from sandbox.testing import tiny_lm
from trainers import load_trainer, unpaired_rows


def answer(agent, question, world):
    """One answer, without feedback."""
    draft = yield agent.answer(question)
    return world.interaction(agent, question, draft=draft.text)


def brevity(interaction, world):
    """10 coins, less one for each word."""
    return 10 - len(interaction.draft.split())


scenario = Scenario(
    questions=["Should the village build a car park?", "Who should pay for the bridge?"],
    protocol=answer,
    reward=Reward(brevity, unit="coins"),
)


def main() -> None:
    """Simulate, train on the best-paid quarter, and print both."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        base = f"hf:{tiny_lm(place / 'base')}"
        settings = {"embedder": "hashing", "score_only": True, "max_tokens": 12}
        World(scenario, model=base, size=3, out=place / "run", **settings).run(rounds=2)
        run = open_run(place / "run")
        print(f"paid {run.frame()['reward.brevity'].mean():.1f} coins on average")
        trainer = load_trainer("rft", best_share=0.25, epochs=2, progress=False, device="cpu")
        trained = trainer.train(unpaired_rows(run, reward="brevity"), base=base, out=place / "trained")
        print(f"{trained.uri.rpartition('/')[2]}: {len(trained.history)} steps on the best-paid answers")


if __name__ == "__main__":
    main()
