"""A trainer with a loop of its own: nothing of the built-in ones but how rows are checked and encoded."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from sandbox.errors import RunExists
from trainers import RowKind, TrainedModel


@dataclass(frozen=True)
class Settings:
    """What one may choose."""

    max_steps: int = 20
    batch_size: int = 4
    learning_rate: float = 1e-3
    max_length: int = 360
    seed: int = 0


class BestOf:
    """Imitates the best-rated answer to each question, with all weights."""

    name: ClassVar[str] = "best_of"
    accepts: ClassVar[RowKind] = RowKind.RANKED
    Settings: ClassVar[type] = Settings

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    def train(self, rows, *, base, out):
        """Learn from ranked rows, and write the folder ``out``."""
        import torch

        from sandbox.models.catalog import resolve
        from sandbox.models.local.loading import load
        from trainers.likelihood.tokenization import Encoder
        from trainers.rows.validation import check_rows

        s, folder = self.settings, Path(out)
        check_rows(rows, self.name, self.accepts)
        if folder.exists():
            raise RunExists(f"{folder} is there already; choose another --out")
        loaded = load(resolve(base)[1], device="cpu", dtype="float32")
        model = loaded.model.train().requires_grad_(True)
        encoder = Encoder(loaded.tokenizer, s.max_length)
        texts = []
        for row in rows:
            best = max(zip(row["ratings"], row["completions"], strict=True))[1]
            prompt, (answer,) = encoder.encode(row["prompt"], [best])
            texts.append((prompt, answer))
        order = torch.Generator().manual_seed(s.seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=s.learning_rate)
        history = []
        for step in range(1, s.max_steps + 1):
            drawn = torch.randperm(len(texts), generator=order)[: s.batch_size].tolist()
            losses = []
            for prompt, answer in (texts[i] for i in drawn):
                ids = torch.tensor([prompt + answer])
                labels = torch.tensor([[-100] * len(prompt) + answer])
                losses.append(model(input_ids=ids, labels=labels).loss)
            loss = torch.stack(losses).mean()
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            history.append({"step": step, "epoch": step * s.batch_size / len(texts), "loss": float(loss.detach())})
        model.save_pretrained(folder)
        loaded.tokenizer.save_pretrained(folder)
        metrics = {"loss": history[-1]["loss"], "steps": len(history)}
        about = {"schema": 1, "trainer": self.name, "base": base, "settings": asdict(s), "metrics": metrics}
        (folder / "training.json").write_text(json.dumps({**about, "history": history}), encoding="utf-8")
        return TrainedModel(f"hf:{folder}", folder, metrics, history)
