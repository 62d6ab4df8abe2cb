"""One row a bundled model: its shape, and how it is trained."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

VOCABULARY = 4096


@dataclass(frozen=True)
class Mix:
    """Shares of the rows of a batch, by kind; they sum to 1."""

    prose: float
    repeated: float
    word_lists: float
    filings: float
    alternating: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one context length.

    Attributes:
        until: the share of all training tokens at which the stage ends.
        context: tokens a row.
        mix: what the rows hold.
    """

    until: float
    context: int
    mix: Mix


@dataclass(frozen=True)
class Recipe:
    """All that makes one bundled model.

    Attributes:
        name: the model's folder name.
        build: makes the untrained model.
        stages: the curriculum, a short context first.
        learning_rate: peak rate of AdamW.
        tokens: training tokens in all.
        tokens_a_step: size of a batch.
        seed: of the weights and of every batch.
    """

    name: str
    build: Callable[[], PreTrainedModel]
    stages: tuple[Stage, ...]
    learning_rate: float
    tokens: int
    tokens_a_step: int = 2048
    weight_decay: float = 0.1
    answer_weight: float = 4.0
    seed: int = 1

    def stage_at(self, tokens_done: int) -> Stage:
        """The stage in force after so many tokens."""
        share = tokens_done / self.tokens
        return next((stage for stage in self.stages if share < stage.until), self.stages[-1])


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """The sinusoidal position code [positions, width] of Vaswani et al. 2017, scaled to GPT-2's embedding size."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(positions)[:, None] * rates[None, :]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1) * 0.1


def _demo_gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=256,
        n_embd=128,
        n_layer=8,
        n_head=8,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    # Learned positions from random values form no previous-token head for millions of tokens; from sinusoids they do.
    with torch.no_grad():
        model.transformer.wpe.weight.copy_(sinusoids(config.n_positions, config.n_embd))
    return model


def _demo_llama() -> PreTrainedModel:
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=160,
        intermediate_size=448,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


_ROWS = (
    Recipe(
        name="demo-gpt2",
        build=_demo_gpt2,
        stages=(
            Stage(0.19, 32, Mix(prose=0.4, repeated=0.4, word_lists=0.2, filings=0.0)),
            # Alternating pairs reward looking one token back, which learned positions are slow to find.
            Stage(0.33, 32, Mix(prose=0.25, repeated=0.35, word_lists=0.1, filings=0.0, alternating=0.3)),
            Stage(0.42, 64, Mix(prose=0.3, repeated=0.3, word_lists=0.1, filings=0.2, alternating=0.1)),
            Stage(0.78, 160, Mix(prose=0.3, repeated=0.12, word_lists=0.08, filings=0.5)),
            Stage(1.00, 256, Mix(prose=0.4, repeated=0.08, word_lists=0.07, filings=0.45)),
        ),
        learning_rate=1e-3,
        tokens=9_000_000,
    ),
    Recipe(
        name="demo-llama",
        build=_demo_llama,
        stages=(
            Stage(0.15, 64, Mix(prose=0.35, repeated=0.3, word_lists=0.15, filings=0.2)),
            Stage(0.60, 160, Mix(prose=0.3, repeated=0.12, word_lists=0.1, filings=0.48)),
            Stage(0.94, 256, Mix(prose=0.42, repeated=0.08, word_lists=0.08, filings=0.42)),
            Stage(1.00, 512, Mix(prose=0.42, repeated=0.08, word_lists=0.08, filings=0.42)),
        ),
        learning_rate=3e-3,
        tokens=6_500_000,
    ),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ROWS}
