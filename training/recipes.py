"""One row a bundled model: its shape, and how it is trained."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from utils.formation.history import Scaffold
from utils.heads import Head

VOCABULARY = 4096
# So few that each comes up often enough in random segments.
FEW_TOKENS = 512
EMBEDDING_DEVIATION = 0.05


@dataclass(frozen=True)
class Mix:
    """Shares of the rows of a batch, by kind; they sum to 1."""

    prose: float
    repeated: float
    word_lists: float
    filings: float
    alternating: float = 0.0
    repeated_prose: float = 0.0
    chat: float = 0.0


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one context length.

    Attributes:
        until: the share of all training tokens at which the stage ends.
        context: tokens a row.
        mix: what the rows hold.
        rate: times the recipe's learning rate.
        scaffold: weight of the loss that shows some heads where to look (`training/scaffold.py`).
    """

    until: float
    context: int
    mix: Mix
    rate: float = 1.0
    scaffold: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """All that makes one bundled model.

    Attributes:
        name: the model's folder name.
        build: makes the untrained model, or one of the base model's shape.
        stages: the curriculum, a short context first.
        learning_rate: peak rate of AdamW.
        tokens: training tokens in all.
        decays: token counts before the last at which the learning rate has come down and starts again.
        tokens_a_step: size of a batch.
        scaffold_heads: the heads that a stage with a scaffold shows their targets, by role.
        seed: of the weights and of every batch.
        vocabulary: tokens of its tokenizer.
        base: the bundled model whose weights and tokenizer the training begins with; None for random weights
            and a tokenizer of its own.
        log_points: how many lines the log has, besides the first.
        log_steps: instead of these, how far apart the lines are up to so many tokens, {tokens: step}, where
            the heads form elsewhere than near the start.
    """

    name: str
    build: Callable[[], PreTrainedModel]
    stages: tuple[Stage, ...]
    learning_rate: float
    tokens: int
    decays: tuple[int, ...] = ()
    tokens_a_step: int = 2048
    weight_decay: float = 0.1
    answer_weight: float = 4.0
    scaffold_heads: Mapping[str, tuple[Head, ...]] = field(default_factory=dict)
    seed: int = 1
    vocabulary: int = VOCABULARY
    base: str | None = None
    log_points: int = 60
    log_steps: Mapping[int, int] = field(default_factory=dict)

    @property
    def chats(self) -> bool:
        """Whether the model learns to answer in the chat template."""
        return any(stage.mix.chat for stage in self.stages)

    def stage_at(self, tokens_done: int) -> Stage:
        """The stage in force after so many tokens."""
        share = tokens_done / self.tokens
        return next((stage for stage in self.stages if share < stage.until), self.stages[-1])

    @property
    def scaffolds(self) -> tuple[Scaffold, ...]:
        """Where a scaffold stands, in tokens, and which heads it points at their targets."""
        starts = (0.0, *(stage.until for stage in self.stages))
        return tuple(
            Scaffold(round(start * self.tokens), round(stage.until * self.tokens), self.scaffold_heads)
            for start, stage in zip(starts, self.stages, strict=False)
            if stage.scaffold
        )


def sinusoids(positions: int, width: int) -> torch.Tensor:
    """The sinusoidal position code [positions, width] of Vaswani et al. 2017, scaled to the embeddings."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(positions)[:, None] * rates[None, :]
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1) * 0.1


def initialise(model: PreTrainedModel) -> None:
    """Draw a small model's matrices so that every layer has something to say from the start.

    The library's fixed 0.02 suits wide models; in a narrow one it leaves attention nearly uniform for
    millions of tokens. Here a matrix has the standard deviation 1/sqrt(inputs), divided by sqrt(2 x layers)
    where it writes to the residual stream.
    """
    layers = model.config.num_hidden_layers
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() < 2:
                continue
            if "wte" in name or "embed_tokens" in name:
                weight.normal_(0, EMBEDDING_DEVIATION)
                if not isinstance(model, GPT2LMHeadModel):
                    # Without biases or position embeddings the first layer can only look by position (one
                    # token back) through what all tokens share; tied output logits do not see it.
                    weight += torch.randn(weight.shape[1]) * EMBEDDING_DEVIATION
                continue
            # GPT-2's Conv1D keeps its weight as [inputs, outputs].
            inputs = weight.shape[0] if isinstance(model, GPT2LMHeadModel) else weight.shape[1]
            writes = any(part in name for part in ("c_proj", "o_proj", "down_proj"))
            weight.normal_(0, inputs**-0.5 / (math.sqrt(2 * layers) if writes else 1.0))


def _demo_gpt2() -> PreTrainedModel:
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=256,
        n_embd=192,
        n_layer=4,
        n_head=16,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    initialise(model)
    # Learned positions from random values form no previous-token head for millions of tokens; from
    # sinusoids they do.
    with torch.no_grad():
        model.transformer.wpe.weight.copy_(sinusoids(config.n_positions, config.n_embd))
    return model


def _llama(**shape: Any) -> LlamaForCausalLM:
    """A small Llama with first values of its own; `shape` goes into its config."""
    rotary = {"rope_type": "default", "rope_theta": 1000.0}
    config = LlamaConfig(rope_parameters=rotary, bos_token_id=0, eos_token_id=0, **shape)
    model = LlamaForCausalLM(config)
    initialise(model)
    return model


def _demo_llama() -> PreTrainedModel:
    return _llama(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=16,
        num_key_value_heads=8,
        head_dim=16,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )


def _formation_llama() -> PreTrainedModel:
    model = _llama(
        vocab_size=FEW_TOKENS,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=32,
        max_position_embeddings=256,
        tie_word_embeddings=False,
    )
    # The second layer must still tell the tokens apart, beside all that the first one writes.
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(10)
        model.lm_head.weight.normal_(0, 0.02)
    return model


# Beside the conversations, a little of all that the base model learned, so that it is not lost.
_INSTRUCT_MIX = Mix(
    prose=0.1,
    repeated=0.1,
    word_lists=0.04,
    filings=0.04,
    repeated_prose=0.1,
    chat=0.62,
)

_ROWS = (
    Recipe(
        name="demo-gpt2",
        build=_demo_gpt2,
        stages=(
            # Alternating pairs reward looking one token back, the first step on the way to induction.
            Stage(1.8 / 10, 32, Mix(prose=0.3, repeated=0.35, word_lists=0.1, filings=0.0, alternating=0.25)),
            Stage(
                2.52 / 10, 64, Mix(prose=0.3, repeated=0.3, word_lists=0.12, filings=0.2, alternating=0.08)
            ),
            # Previous-token heads are there: now what builds on them.
            Stage(3.42 / 10, 64, Mix(prose=0.3, repeated=0.38, word_lists=0.1, filings=0.22), rate=2.0),
            Stage(4.59 / 10, 160, Mix(prose=0.4, repeated=0.12, word_lists=0.08, filings=0.4), rate=2.0),
            # A circuit had formed that looks two tokens after the earlier copy, good for early positions
            # alone.
            Stage(
                5.13 / 10,
                160,
                Mix(prose=0.4, repeated=0.25, word_lists=0.05, filings=0.3),
                rate=2.0,
                scaffold=1.0,
            ),
            Stage(5.76 / 10, 160, Mix(prose=0.48, repeated=0.12, word_lists=0.06, filings=0.34), rate=2.0),
            Stage(7.92 / 10, 160, Mix(prose=0.67, repeated=0.08, word_lists=0.04, filings=0.21), rate=2.0),
            Stage(8.325 / 10, 256, Mix(prose=0.70, repeated=0.07, word_lists=0.04, filings=0.19), rate=2.0),
            # So far the model copies from random text alone: now it learns that sentences come again too.
            Stage(
                9 / 10,
                256,
                Mix(prose=0.4, repeated=0.08, word_lists=0.04, filings=0.2, repeated_prose=0.28),
                rate=2.0,
            ),
            Stage(
                10 / 10,
                160,
                Mix(prose=0.38, repeated=0.08, word_lists=0.04, filings=0.15, repeated_prose=0.35),
                rate=2.0,
            ),
        ),
        scaffold_heads={
            "previous_token": tuple(Head(0, head) for head in (1, 2, 5, 11)),
            "induction": tuple(Head(1, head) for head in (0, 2, 8, 9, 13, 14)),
        },
        learning_rate=1e-3,
        tokens=10_000_000,
        decays=(9_000_000,),
    ),
    Recipe(
        name="demo-llama",
        build=_demo_llama,
        stages=(
            # Alternating pairs reward looking one token back, the first step on the way to induction.
            Stage(0.63 / 9, 64, Mix(prose=0.25, repeated=0.35, word_lists=0.1, filings=0.1, alternating=0.2)),
            Stage(1.26 / 9, 64, Mix(prose=0.35, repeated=0.3, word_lists=0.15, filings=0.2)),
            Stage(1.68 / 9, 160, Mix(prose=0.3, repeated=0.12, word_lists=0.1, filings=0.48)),
            # Previous-token heads are there: now what builds on them.
            Stage(2.94 / 9, 96, Mix(prose=0.3, repeated=0.4, word_lists=0.08, filings=0.22)),
            Stage(3.56 / 9, 160, Mix(prose=0.45, repeated=0.1, word_lists=0.08, filings=0.37)),
            Stage(4.16 / 9, 96, Mix(prose=0.35, repeated=0.3, word_lists=0.05, filings=0.3), scaffold=1.0),
            Stage(5.76 / 9, 160, Mix(prose=0.48, repeated=0.12, word_lists=0.06, filings=0.34)),
            Stage(7.44 / 9, 256, Mix(prose=0.6, repeated=0.08, word_lists=0.06, filings=0.26)),
            # So far the model copies from random text alone: now it learns that sentences come again too.
            Stage(
                7.84 / 9,
                256,
                Mix(prose=0.4, repeated=0.08, word_lists=0.04, filings=0.2, repeated_prose=0.28),
            ),
            Stage(
                8 / 9, 512, Mix(prose=0.4, repeated=0.08, word_lists=0.04, filings=0.2, repeated_prose=0.28)
            ),
            Stage(
                9 / 9, 160, Mix(prose=0.38, repeated=0.08, word_lists=0.04, filings=0.15, repeated_prose=0.35)
            ),
        ),
        scaffold_heads={
            "previous_token": tuple(Head(0, head) for head in (0, 1, 14, 15)),
            "induction": tuple(Head(1, head) for head in range(6)),
        },
        learning_rate=2e-3,
        tokens=9_000_000,
        decays=(8_000_000,),
    ),
    Recipe(
        name="demo-llama-instruct",
        build=_demo_llama,
        base="demo-llama",
        stages=(
            Stage(0.28 / 2.6, 160, _INSTRUCT_MIX),
            Stage(0.77 / 2.6, 256, _INSTRUCT_MIX),
            Stage(0.98 / 2.6, 512, _INSTRUCT_MIX),
            Stage(1.4 / 2.6, 384, _INSTRUCT_MIX),
            # Numbers of several digits among other numbers are the last to be copied without a slip.
            Stage(2.1 / 2.6, 224, _INSTRUCT_MIX, rate=1.5),
            Stage(1.0, 320, _INSTRUCT_MIX, rate=1.5),
        ),
        learning_rate=1e-3,
        tokens=2_600_000,
        decays=(1_400_000,),
        answer_weight=10.0,
        log_points=17,
    ),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ROWS}
# In most rows something comes again, so that copying pays from the start.
_COPYING_MIX = Mix(prose=0.3, repeated=0.5, word_lists=0.0, filings=0.0, repeated_prose=0.2)

# Those of which the log alone comes with HeadScope (`training/logs`): they show how heads form, and are too
# small to show much else. No stage of them has a scaffold.
LOG_RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="formation-llama",
            build=_formation_llama,
            stages=(
                Stage(0.6, 64, _COPYING_MIX),
                Stage(1.0, 128, _COPYING_MIX),
            ),
            learning_rate=2e-3,
            tokens=3_000_000,
            weight_decay=0.0,
            vocabulary=FEW_TOKENS,
            # Induction heads and the jump in accuracy come between 1.0 and 1.3 million tokens.
            log_steps={900_000: 50_000, 1_400_000: 12_500, 3_000_000: 80_000},
        ),
    )
}
