"""The model that the fake hub of the tests has, and the form that refusals must have."""

from collections.abc import Callable

import pytest

from utils.errors import UserFacingError

NAME = "someone/tiny"
ONE = "model.safetensors"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
NEEDED = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]


def refusal(work: Callable[[], object]) -> UserFacingError:
    """The error that `work` must end with, in the form that errors have."""
    with pytest.raises(UserFacingError) as caught:
        work()
    for sentence in (caught.value.message, caught.value.remedy):
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 200, sentence
        assert "127.0.0.1" not in sentence and "/tmp" not in sentence
    return caught.value
