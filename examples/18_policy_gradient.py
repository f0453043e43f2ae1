"""Your own trainer on the rewards of a scenario, REINFORCE: sandbox train RUN --reward saved --trainer FILE.py:Reinforce."""

from tempfile import mkdtemp

from torch.nn.functional import cross_entropy
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from sandbox import Scenario, World, keyed_rng, open_run
from sandbox.testing import check_trainer, tiny_lm
from trainers import FineTuning, MonitoredTrainer, RowKind, TrainingSettings, encode_demonstrations, unpaired_rows


def travel(agent, question, world):
    choice = yield agent.choose(question, ["left", "right"])
    return world.interaction(agent, question, draft=choice.draw(keyed_rng(world.seed, world.round, agent.index)))


minutes = {"saved": lambda interaction, world: 20 if interaction.draft == "left" else 5}
scenario = Scenario(questions=["Which road?"], protocol=travel, reward=minutes)


class Reinforce(FineTuning):
    """REINFORCE (Williams 1992): answers that paid more become likelier. Loss: advantage times negative log-likelihood."""

    name, accepts, Settings = "reinforce", RowKind.UNPAIRED, TrainingSettings

    def encode(self, rows, encoder):
        """Token ids and labels, and the advantage: rewards are rated 1 to 7, with the mean at 4, and counted."""
        worth = [(row.get("rating", 7 if row["label"] else 1) - 4) * row.get("count", 1) for row in rows]
        return encode_demonstrations(rows, encoder).add_column("advantage", worth)

    def make_trainer(self, policy, encoded, arguments, watch):
        """The trainer of transformers with this loss; nll is of shape [answers, tokens], 0 for tokens of prompts."""

        class PolicyGradient(MonitoredTrainer, Trainer):
            def compute_loss(self, model, inputs, **_):
                logits = model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, :-1]
                nll = cross_entropy(logits.transpose(1, 2), inputs["labels"][:, 1:], reduction="none")
                return (inputs["advantage"] * nll.sum(dim=1)).mean()

        collate = DataCollatorForSeq2Seq(policy.tokenizer)
        return PolicyGradient(policy.model, TrainingArguments(**arguments), collate, encoded, callbacks=[watch])


def main(folder: str) -> None:
    """Simulate, train on the minutes saved, and simulate again with the trained model, which is tiny and created here."""
    check_trainer(Reinforce)
    model = f"hf:{tiny_lm(folder + '/base')}"
    for name in ("before", "after"):
        World(scenario, model=model, size=4, out=f"{folder}/{name}", embedder="hashing").run(rounds=2)
        run = open_run(f"{folder}/{name}")
        print(f"{name}: {run.frame()['reward.saved'].mean():.1f} minutes saved on average")
        if name == "before":
            trainer = Reinforce(TrainingSettings(max_steps=8, learning_rate=5e-3, progress=False, device="cpu"))
            model = trainer.train(unpaired_rows(run, reward="saved"), base=model, out=f"{folder}/model").uri


if __name__ == "__main__":
    main(mkdtemp())
