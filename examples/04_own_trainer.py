"""Your own trainer: a loss over the rated answers to a question, its contract check, and a training on a run.

The model and the run are tiny and created here, so that it takes seconds: python examples/04_own_trainer.py
"""

import tempfile
from pathlib import Path
from typing import ClassVar

from sandbox import open_run
from sandbox.testing import check_trainer, tiny_lm, tiny_run
from trainers import RankedFineTuning, ranked_rows


class Listwise(RankedFineTuning):
    """Learns the order of all answers at once: likelihoods are to be spread as ratings are (ListNet, Cao et al. 2007).

    To have it on the command line, make it a package: sandbox new trainer NAME.
    """

    name: ClassVar[str] = "listwise"

    def losses(self, nll, ratings, mask, scale):
        """The loss of each question, in nats. All given are of shape [questions, answers], but scale [questions]."""
        apart = float("-inf")
        # Ratings over the whole scale are worth as much as five nats per token.
        wanted = (5 * ratings / scale[:, None]).masked_fill(~mask, apart).softmax(dim=1)
        found = (-nll).masked_fill(~mask, apart).log_softmax(dim=1).masked_fill(~mask, 0)
        return -(wanted * found).sum(dim=1)


def main() -> None:
    """Check the trainer, train with it, and say how the loss fell."""
    check_trainer(Listwise)
    print("listwise does what trainers promise")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = ranked_rows(open_run(tiny_run(place / "run", rounds=3)), parts=("imitation",))
        # All questions in every step: losses of the same questions can be compared.
        settings = Listwise.Settings(batch_size=len(rows), epochs=10, learning_rate=5e-3, progress=False, device="cpu")
        trainer = Listwise(settings)
        trained = trainer.train(rows, base=f"hf:{tiny_lm(place / 'base')}", out=place / "trained")
        first, last = trained.history[0]["loss"], trained.history[-1]["loss"]
        print(f"{len(rows)} questions, {len(trained.history)} steps: loss {first:.3f}, then {last:.3f}")


if __name__ == "__main__":
    main()
