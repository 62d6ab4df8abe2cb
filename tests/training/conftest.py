"""A tokenizer learnt from a little generated text, rows drawn with it, and a recipe of a very small model."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from training.mix import RowSource
from training.recipes import Mix, Recipe, Stage
from training.tokenizer import generated_texts, token_ids, train_tokenizer

PROSE = "The old man went down to the river, and there he saw a boat with 12 white sails.\n" * 60


def build_tiny(vocabulary: int, layers: int = 2) -> PreTrainedModel:
    """2 layers of 4 heads, 8 wide, with room for a filing."""
    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=256,
        n_embd=32,
        n_layer=layers,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPT2LMHeadModel(config)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Learnt from 150 generated filings and lists."""
    return train_tokenizer(generated_texts(count=150))


@pytest.fixture(scope="session")
def source(tokenizer: PreTrainedTokenizerFast) -> RowSource:
    """With some prose."""
    return RowSource(tokenizer, token_ids(tokenizer, [PROSE]), answer_weight=4.0)


@pytest.fixture(scope="session")
def generated_only(tokenizer: PreTrainedTokenizerFast) -> RowSource:
    """Without a corpus."""
    return RowSource(tokenizer, token_ids(tokenizer, []), answer_weight=4.0)


@pytest.fixture(scope="session")
def make_recipe(tokenizer: PreTrainedTokenizerFast) -> Callable[[int], Recipe]:
    """A function that makes the recipe of a model with so many layers: 8 steps in two stages."""

    def make(layers: int = 2) -> Recipe:
        return Recipe(
            name="tiny",
            build=partial(build_tiny, len(tokenizer), layers),
            stages=(
                Stage(0.5, 32, Mix(prose=0.4, repeated=0.3, word_lists=0.1, filings=0.0, alternating=0.2)),
                Stage(1.0, 64, Mix(prose=0.4, repeated=0.2, word_lists=0.2, filings=0.2)),
            ),
            learning_rate=1e-2,
            tokens=2048,
            tokens_a_step=256,
            seed=3,
            # Lines at the beginning, at the end and two between.
            log_points=3,
        )

    return make


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Sums come out alike whatever the machine; and models so small gain nothing from threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
