"""The commands that pages print, what tests need to run them (files, stand-ins, smaller sizes), and those that they do not run.

Where a page has the bundled model, societies speak with ``scripted:``, and trainings and evaluations use a tiny random model:
they show that a command runs as printed, and nothing of its results. Servers and the hub are stand-ins.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "scenarios/README.md", "examples/paper.md",
          "tests/benchmarks/README.md", "tests/benchmarks/TRAINERS.md")  # fmt: skip
PAGES = (*COPIED, *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")))
# Languages of blocks that are no code, or code that tests/test_page_code.py runs.
OTHER_LANGUAGES = ("", "text", "csv", "python")

# What exists before the commands of a page are run, as the page says or as an earlier page has made it.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "command_line": ("runs/first", "runs/goods", "models/first", "links.csv"),
    "environments": (),
    "evaluation": ("models/first", "models/dpo", "pairs.heldout.jsonl"),
    "how_to": ("runs/first", "pairs.jsonl", "pairs.heldout.jsonl", "net.graphml", "links.csv"),
    "language_models": ("runs/first", "models/first"),
    "own_scenario": ("flood.py",),
    "surveys": ("runs/first", "runs/village", "QUESTIONS.csv", "HUMAN.csv"),
    "training": ("runs/first", "models/first", "brief.py"),
    "visualisation": ("runs/first", "runs/village", "runs/offers"),
}
SLOW = ("environments", "evaluation", "how_to", "training", "visualisation")

# Lines, by how they begin, that are not run, each with the reason and the test that covers what they do, if any.
_DEVELOPMENT = "installs or tests the repository; .ci/run does so"
_RAY = "needs Ray"
_LONG = "minutes or hours with the bundled model"
NOT_RUN: Mapping[str, tuple[str, str]] = {
    "make ": (_DEVELOPMENT, "tests/test_documents.py"),
    "pip install": (_DEVELOPMENT, "tests/test_wheel.py"),
    ".venv/bin/python -m pytest": (_DEVELOPMENT, ""),
    "PYTHONPATH=. vf-eval": ("a program of verifiers", "tests/environment/test_environment_adapters.py"),
    "vllm serve": ("needs a GPU and vLLM; the command comes with the exported model", "tests/models/test_export_model.py"),
    "ollama create": ("needs Ollama; its Modelfile is checked", "tests/models/test_export_model.py"),
    "hf auth login": ("asks for an account of the hub", ""),
    "torchrun": ("starts processes of its own", "tests/trainers/test_distributed.py"),
    "sandbox sweep value_alignment --grid population=all_good,all_bad --seeds 3 --workers ray": (
        _RAY, "tests/sweep/test_sweep.py",
    ),
    "sandbox run value_alignment --model hf:models/dpo --replicas 8 --engine ray": (_RAY, "tests/models/test_replicas.py"),
    "sandbox run value_alignment --model hf:models/first --replicas 8 --engine ray": (_RAY, "tests/models/test_replicas.py"),
    "sandbox evaluate --controls": ("rates thousands of texts, minutes a judge", "tests/trainers/test_judge_controls.py"),
    "sandbox evaluate smollm2 hf:models/first --adversarial": ("asks many questions, minutes", "tests/trainers/test_assess.py"),
    "sandbox evolve value_alignment --trainer sft,stable_alignment": ("trains six models", "tests/trainers/test_evolve.py"),
    "sandbox compare": ("trains six models or more", "tests/trainers/test_compare.py"),
    "python examples/paper.py": (_LONG, ""),
    "python tests/benchmarks/": (_LONG, ""),
}  # fmt: skip
_SMALL_SOCIETY = ("embedder=hashing", "max_tokens=8", "reason_tokens=6")


def lines(page: str) -> Iterator[str]:
    """The commands of a page, without comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^ *```sh\n(.*?)^ *```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
            if words := shlex.split(line, comments=True):
                yield shlex.join(words)


def languages(page: str) -> set[str]:
    """The languages of a page's blocks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return set(re.findall(r"^ *```(\w*)[^\n]*\n.*?^ *```$", text, flags=re.MULTILINE | re.DOTALL))


def reason(line: str) -> str | None:
    """Why a line is not run; None if it is."""
    return next((f"{why} ({test})" for begin, (why, test) in NOT_RUN.items() if line.startswith(begin)), None)


def small(line: str, server: str) -> list[str]:
    """The words of a command after ``sandbox``: with stand-ins, and with sizes that the page leaves open made small."""
    line = re.sub(r"http://localhost:\d+/v1", server, line)
    command, *words = shlex.split(line)[1:]
    if command in ("run", "sweep", "evolve", "show-prompts", "what-if", "survey", "chat"):
        words = [re.sub(r"\bsmollm2\b", "scripted:", word) for word in words]
    added = []
    if command in ("run", "sweep") and "--model" not in words:
        added += ["--model", "scripted:"]
    if command in ("run", "sweep", "evolve"):
        sized = {"--size", "--rows", "--from", "--neighborhood"} & set(words) or "agents=" in line
        added += ([] if sized else ["--size", "3"]) + _settings(line, _SMALL_SOCIETY)
    if "--max-cost" in words:  # the stand-in's address has no list prices
        added += _settings(line, ("model.price_prompt=0.15", "model.price_completion=0.6"))
    if command == "evolve":
        added += ["--n-questions", "4", *_settings(line, ("train.max_steps=2", "train.progress=false"))]
    if command == "train":
        added += _settings(line, ("max_steps=2", "progress=false"))
    return [command, *words, *added]


def _settings(line: str, wanted: tuple[str, ...]) -> list[str]:
    """Settings that a command does not give."""
    return [word for pair in wanted if f"{pair.partition('=')[0]}=" not in line for word in ("--set", pair)]
