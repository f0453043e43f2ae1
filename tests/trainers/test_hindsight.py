"""Chain of hindsight: what is learnt behind which words, and that the trained model is asked for good answers."""

from __future__ import annotations

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from sandbox.errors import SettingsError
from sandbox.models.base import Message, Request
from sandbox.models.catalog import load_model
from sandbox.models.local.chat_template import add_lead, render, template_name, without_lead
from trainers import load_trainer
from trainers.likelihood.tokenization import Encoder

pytestmark = pytest.mark.needs_torch

FAST = {"learning_rate": 5e-3, "max_steps": 2, "progress": False, "device": "cpu"}
ASKED = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "How do I get on?"}]


@pytest.fixture
def tokenizer(tiny_lm_path):
    return AutoTokenizer.from_pretrained(tiny_lm_path)


def test_answers_stand_behind_the_words_for_their_worth(tokenizer):
    """Ratings 6, 5 and 2: the middle between best and worst is 4. A lone 5 is above the scale's middle 4, a 3 below."""
    rows = Dataset.from_list(
        [
            {"prompt": "Q", "completions": ["a", "b", "c"], "ratings": [6.0, 5.0, 2.0]},
            {"prompt": "P", "completions": ["d"], "ratings": [5.0]},
            {"prompt": "P", "completions": ["e"], "ratings": [3.0]},
        ]
    )
    encoded = load_trainer("hindsight").encode(rows, Encoder(tokenizer, 360))
    texts = [tokenizer.decode(row["input_ids"]).partition("<|assistant|>")[2] for row in encoded]
    assert texts == [
        "A good answer:\na<|end|>", "A good answer:\nb<|end|>", "A bad answer:\nc<|end|>", "A good answer:\nd<|end|>",
        "A bad answer:\ne<|end|>",
    ]  # fmt: skip
    learnt = [tokenizer.decode([i for i in row["labels"] if i != -100]) for row in encoded]
    assert learnt == ["a<|end|>", "b<|end|>", "c<|end|>", "d<|end|>", "e<|end|>"]


@pytest.mark.parametrize("chat", [True, False])
def test_the_trained_model_is_asked_for_a_good_answer(chat, ranked_rows_by_hand, make_tiny_lm, tmp_path):
    """Also by tools that only know the chat template; a model without one carries Alpaca's from then on."""
    base = make_tiny_lm("base", chat=chat)
    before = render(AutoTokenizer.from_pretrained(base), ASKED)
    trained = load_trainer("hindsight", **FAST).train(ranked_rows_by_hand, base=f"hf:{base}", out=tmp_path / "m")
    tokenizer = AutoTokenizer.from_pretrained(trained.path)
    assert render(tokenizer, ASKED) == before + "A good answer:\n"
    assert render(tokenizer, ASKED, "Rating:") == before + "A good answer:\nRating:"
    assert (
        tokenizer.apply_chat_template(ASKED, tokenize=False, add_generation_prompt=True) == before + "A good answer:\n"
    )
    whole = tokenizer.apply_chat_template(ASKED, tokenize=False)
    assert "A good answer:" not in whole
    (reply,) = load_model(trained.uri).generate([Request((Message("user", "How?"),), max_tokens=4)])
    assert reply.error is None
    assert "A good answer" not in reply.text


def test_learning_on_top_does_not_pile_up_words(ranked_rows_by_hand, tiny_lm_path, tmp_path):
    """A second hindsight replaces the first one's words; another trainer keeps them, and learns behind them."""
    first = load_trainer("hindsight", **FAST).train(ranked_rows_by_hand, base=f"hf:{tiny_lm_path}", out=tmp_path / "a")
    again = load_trainer("hindsight", good="Well said:", **FAST)
    second = again.train(ranked_rows_by_hand, base=first.uri, out=tmp_path / "b")
    third = load_trainer("rrhf", **FAST).train(ranked_rows_by_hand, base=second.uri, out=tmp_path / "c")
    ends = [render(AutoTokenizer.from_pretrained(m.path), ASKED)[-30:] for m in (first, second, third)]
    assert ends[0].endswith("<|assistant|>A good answer:\n")
    assert ends[1].endswith("<|assistant|>Well said:\n")
    assert ends[2] == ends[1]


def test_words_can_be_taken_back(tokenizer, make_tiny_lm):
    template = tokenizer.chat_template
    without_lead(tokenizer)
    assert tokenizer.chat_template == template
    add_lead(tokenizer, 'He said: "good"\n')
    assert render(tokenizer, ASKED).endswith('<|assistant|>He said: "good"\n')
    without_lead(tokenizer)
    assert tokenizer.chat_template == template
    bare = AutoTokenizer.from_pretrained(make_tiny_lm("bare", chat=False))
    turns = [*ASKED, {"role": "assistant", "content": "Talk."}, {"role": "user", "content": "Why?"}]
    before = render(bare, turns)
    assert template_name(bare) == "alpaca"
    add_lead(bare, "Well:\n")
    assert (template_name(bare), render(bare, turns)) == ("chat", before + "Well:\n")
    without_lead(bare)
    assert render(bare, turns) == before


def test_words_must_differ_and_be_there():
    with pytest.raises(SettingsError) as error:
        load_trainer("hindsight", good=" ", bad="")
    assert str(error.value) == (
        "trainer settings cannot be used:\n"
        "  good is empty; give words that begin an answer\n"
        "  bad is empty; give words that begin an answer"
    )
    with pytest.raises(SettingsError, match="good and bad must differ"):
        load_trainer("hindsight", good="An answer:", bad="An answer: ")
