"""How fast a step of stable alignment is, and how much memory it takes, against a plain one.

    python tests/benchmarks/trainers.py [--quick] [--models small-32k,small-128k,smollm2] [--json FILE] [--table FILE]

The plain step does what the authors' code does, without its anomaly mode: one question at a time, every answer in a
row of its own with its prompt, whole logits. Both sides take the same fabricated questions through the same model with
the same adapters (or with all weights learning) and the same loss; a step is the forward pass, the loss and the
backward pass. Tokens are those of every answer with its prompt, on both sides. Time is CPU time of one thread, the
sides taking turns; memory is the most that a fresh process needs beyond what it has once the model is loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

VOCABULARY = {"small-32k": 32_000, "small-128k": 128_000}
MODELS = (*VOCABULARY, "smollm2")
SIDES = ("plain", "separate", "shared")
A_STEP = 4
# Imitation, self-critic and realignment, 5:1:1; tokens of the prompt. The latter two hold question and draft.
PROMPTS = (34, 38, 42, 46, 50, 92, 97)
ANSWERS = (80, 97, 114)


def questions(n: int, vocabulary: int) -> list[dict[str, Any]]:
    """Encoded ranked rows: prompts of 57 tokens on average, three answers of 97, in an order of their own."""
    from sandbox.seeding import keyed_rng

    draw = keyed_rng(0, "questions")
    made = []
    for number in range(n):
        lengths = draw.sample(ANSWERS, 3)
        made.append(
            {
                "prompt_ids": [draw.randrange(5, vocabulary) for _ in range(PROMPTS[number % len(PROMPTS)])],
                "answer_ids": [[draw.randrange(5, vocabulary) for _ in range(length)] for length in lengths],
                "ratings": [6.0, 4.0, 1.5],
                "scale": 7.0,
            }
        )
    return made


def tokens(asked: Sequence[dict[str, Any]]) -> int:
    """Of every answer with its prompt."""
    return sum(len(q["prompt_ids"]) + len(answer) for q in asked for answer in q["answer_ids"])


def load(name: str, full: bool) -> Any:
    """A model whose answers can be scored, with adapters or with all weights learning."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    from trainers.likelihood.answer_nll import add_answer_nll

    torch.manual_seed(0)
    torch.set_num_threads(1)
    if name == "smollm2":
        from sandbox.models.local.bundled import bundled_path

        model: Any = AutoModelForCausalLM.from_pretrained(bundled_path(), dtype=torch.float32)
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCABULARY[name], hidden_size=256, intermediate_size=688, num_hidden_layers=6,
                num_attention_heads=8, num_key_value_heads=8, max_position_embeddings=512, tie_word_embeddings=True,
            )
        )  # fmt: skip
    add_answer_nll(model)
    if full:
        return model.requires_grad_(True).train()
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model.requires_grad_(False), config).train()


def plain_step(model: Any, asked: Sequence[dict[str, Any]]) -> None:
    """The authors' way: a question at a time, whole logits of every prompt with every answer."""
    import torch
    from torch.nn import functional as F

    for question in asked:
        rows = [question["prompt_ids"] + answer for answer in question["answer_ids"]]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        labels = ids.masked_fill(mask == 0, -100)
        labels[:, : len(question["prompt_ids"])] = -100
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
        picked = F.log_softmax(logits, dim=-1).gather(2, labels[:, 1:, None].clamp(min=0)).squeeze(2)
        counted = labels[:, 1:] != -100
        nll = -(picked * counted).sum(dim=1) / counted.sum(dim=1)
        ratings = torch.tensor(question["ratings"])
        best = int(ratings.argmax())
        others = [i for i in range(len(rows)) if i != best]
        gaps = nll[best] - nll[others] + (ratings[best] - ratings[others]) / question["scale"] * 10.0
        loss = nll[best] + 0.2 * gaps.mean().clamp(min=0)
        (loss / len(asked)).backward()


def our_step(shared: bool) -> Callable[[Any, Sequence[dict[str, Any]]], None]:
    """Ours, as it is on a CPU: a question at a time, the head on answer tokens; its prompt once if shared."""
    from trainers.likelihood.collation import Collator
    from trainers.losses import stable_alignment_loss

    def step(model: Any, asked: Sequence[dict[str, Any]]) -> None:
        lay_out = Collator(pad=0, shared=shared)
        for question in asked:
            laid = lay_out([question])
            nll = model(**laid["model"])[None]
            loss = stable_alignment_loss(nll, laid["ratings"], laid["mask"], scale=laid["scale"])
            (loss / len(asked)).backward()

    return step


def steps() -> dict[str, Callable[[Any, Sequence[dict[str, Any]]], None]]:
    """All sides by name."""
    return {"plain": plain_step, "separate": our_step(False), "shared": our_step(True)}


def batches(name: str, n: int) -> list[list[dict[str, Any]]]:
    """Questions of about the same length together, as training draws them."""
    made = sorted(questions(n * A_STEP, VOCABULARY.get(name, 49_000)), key=lambda q: tokens([q]))
    return [made[start : start + A_STEP] for start in range(0, len(made), A_STEP)]


def speed(name: str, full: bool, repeats: int) -> dict[str, float]:
    """Tokens a CPU second of each side, taking turns on the same batches; the median over them."""
    model, found = load(name, full), {side: [] for side in SIDES}
    ways = steps()
    for number, asked in enumerate(batches(name, repeats + 1)):
        for side in SIDES:
            began = time.process_time()
            ways[side](model, asked)
            spent = time.process_time() - began
            model.zero_grad(set_to_none=True)
            if number:  # the first warms up
                found[side].append(tokens(asked) / spent)
    return {side: statistics.median(rates) for side, rates in found.items()}


def memory(name: str, full: bool, side: str) -> float:
    """MB that a step needs at most beyond the loaded model; of this process, so ask a fresh one."""
    model = load(name, full)
    longest = max(batches(name, 2), key=tokens)
    # What libraries set up once, on either side, is no part of a step.
    short = [{**q, "prompt_ids": q["prompt_ids"][:4], "answer_ids": [a[:2] for a in q["answer_ids"]]} for q in longest]
    steps()[side](model, short)
    model.zero_grad(set_to_none=True)
    # What loading needed for a moment would hide what a step needs: begin from what is held now.
    Path("/proc/self/clear_refs").write_text("5")
    held = status("VmRSS")
    for _ in range(2):
        steps()[side](model, longest)
        model.zero_grad(set_to_none=True)
    return (status("VmHWM") - held) / 1024


def status(field: str) -> int:
    """A field of this process's memory, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))


def fresh(*arguments: str) -> Any:
    """The last line of a child of this file, as JSON."""
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(found: list[dict[str, Any]], command: str) -> str:
    """What was measured, as Markdown."""
    lines = [
        "# Speed and memory of stable alignment's step",
        "",
        f"Written by `{command}`. Load of the machine meanwhile: {found[0]['load_before']:.1f} to "
        f"{found[-1]['load_after']:.1f} on {os.cpu_count()} cores; time is CPU time of one thread.",
        "",
        "`plain` is the step of the authors' code without its anomaly mode; `separate` and `shared` are ours, without "
        "and with prompts computed once for all answers. Ratios are to `plain`.",
        "",
        "| model | learns | plain tokens/s | separate | shared | plain MB | separate | shared |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found:
        t, m = row["tokens_per_s"], row["memory_mb"]
        lines.append(
            f"| {row['model']} | {row['learns']} | {t['plain']:.0f} | {t['separate'] / t['plain']:.2f}x | "
            f"{t['shared'] / t['plain']:.2f}x | {m['plain']:.0f} | {m['separate'] / m['plain']:.2f}x | "
            f"{m['shared'] / m['plain']:.2f}x |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one batch instead of seven; numbers are rough")
    parser.add_argument("--models", default=",".join(MODELS), help=f"some of {', '.join(MODELS)}")
    parser.add_argument("--learns", default="adapters,all", help="adapters, all weights, or both")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--table", type=Path, help="write them as Markdown here")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        what, name, learns = given.child
        full = learns == "all"
        print(json.dumps(speed(name, full, 1 if given.quick else 7) if what == "speed" else memory(name, full, what)))
        return
    if unknown := [name for name in given.models.split(",") if name not in MODELS]:
        parser.error(f"no models {', '.join(unknown)}; there are {', '.join(MODELS)}")
    quick = ["--quick"] if given.quick else []
    found = []
    for name in given.models.split(","):
        for learns in given.learns.split(","):
            row = {"model": name, "learns": learns, "load_before": os.getloadavg()[0]}
            row["tokens_per_s"] = fresh(*quick, "--child", "speed", name, learns)
            row["memory_mb"] = {side: fresh(*quick, "--child", side, name, learns) for side in SIDES}
            row["load_after"] = os.getloadavg()[0]
            found.append(row)
            print(json.dumps(row), file=sys.stderr)
    said = {
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "quick": given.quick,
        "questions_a_step": A_STEP,
        "rows": found,
    }
    text = table(found, " ".join(["python", "tests/benchmarks/trainers.py", *sys.argv[1:]]))
    print(text)
    if given.table is not None:
        given.table.write_text(text, encoding="utf-8")
    if given.json is not None:
        given.json.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
