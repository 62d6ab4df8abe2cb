"""A tokenizer whose pattern takes for ever gives one sentence, not a panic."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from utils.errors import UserFacingError
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import count_tokens, token_of_text, tokenize_prompt

BAD = "a" * 40 + "b"


@pytest.fixture
def panicking(copied_model: Callable[[str], Path]) -> LoadedModel:
    """A model whose tokenizer splits by a pattern that takes exponential time."""
    return load_model("mine", with_pattern(copied_model("gpt2"), "(a+)+$"))


def with_pattern(folder: Path, pattern: str) -> Path:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, content["pre_tokenizer"]]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_text_that_it_gives_up_on_is_refused_in_one_sentence(panicking: LoadedModel) -> None:
    assert tokenize_prompt(panicking, "abc").ids
    for refused in (tokenize_prompt, count_tokens):
        with pytest.raises(UserFacingError, match=r"gives up on this text\. Type another"):
            refused(panicking, BAD)
    assert token_of_text(panicking, BAD) is None


def test_a_pattern_that_is_none_is_a_tokenizer_that_cannot_be_read(
    copied_model: Callable[[str], Path],
) -> None:
    with pytest.raises(UserFacingError, match="The tokenizer of the model 'mine' cannot be read"):
        load_model("mine", with_pattern(copied_model("gpt2"), "("))
