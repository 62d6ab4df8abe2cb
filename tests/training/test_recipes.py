"""One contract over the bundled models' recipes."""

from dataclasses import astuple

import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from training.recipes import LOG_RECIPES, RECIPES, VOCABULARY, Recipe, sinusoids
from utils.models.families import head_geometry
from utils.models.sources import BUNDLED

MEGABYTE = 2**20


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_contract_of_a_recipe(recipe: Recipe) -> None:
    assert RECIPES[recipe.name] is recipe
    torch.manual_seed(recipe.seed)
    model = recipe.build()
    torch.manual_seed(recipe.seed)
    again = recipe.build()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    config = model.config
    assert config.num_hidden_layers * config.num_attention_heads >= 64
    assert config.vocab_size == VOCABULARY and config.bos_token_id == config.eos_token_id == 0
    # float16 on disk, and room for the tokenizer, the card and the log.
    assert 2 * model.num_parameters() < 18 * MEGABYTE
    assert [stage.until for stage in recipe.stages] == sorted(stage.until for stage in recipe.stages)
    assert recipe.stages[-1].until == 1
    contexts = [stage.context for stage in recipe.stages]
    # A short context first, and the whole of it before the end.
    assert contexts[0] == min(contexts) < max(contexts) == config.max_position_embeddings
    assert list(recipe.decays) == sorted(recipe.decays)
    assert all(0 < end < recipe.tokens for end in recipe.decays)
    for stage in recipe.stages:
        assert sum(astuple(stage.mix)) == pytest.approx(1)
        assert recipe.tokens_a_step >= stage.context


def test_a_log_without_a_model_is_of_heads_that_formed_without_help() -> None:
    assert not set(LOG_RECIPES) & set(RECIPES)
    for name, recipe in LOG_RECIPES.items():
        assert recipe.name == name and recipe.base is None
        assert recipe.scaffolds == () and not recipe.scaffold_heads
        torch.manual_seed(recipe.seed)
        model = recipe.build()
        assert isinstance(model, LlamaForCausalLM) and model.config.vocab_size == recipe.vocabulary
        assert recipe.stages[-1].until == 1
        for stage in recipe.stages:
            assert sum(astuple(stage.mix)) == pytest.approx(1)
            # What the page says of it: many rows repeat themselves.
            assert stage.mix.repeated + stage.mix.repeated_prose > 0.4


def test_a_tuned_model_has_its_bases_shape_and_tokenizer() -> None:
    tuned = [recipe for recipe in RECIPES.values() if recipe.base is not None]
    assert [recipe.name for recipe in tuned] == ["demo-llama-instruct"]
    for recipe in tuned:
        assert recipe.base is not None and RECIPES[recipe.base].base is None
        shapes, base = (
            {name: weight.shape for name, weight in RECIPES[name].build().named_parameters()}
            for name in (recipe.name, recipe.base)
        )
        assert shapes == base
        assert recipe.chats and not RECIPES[recipe.base].chats
        own, bases = ((BUNDLED / name / "tokenizer.json").read_bytes() for name in (recipe.name, recipe.base))
        assert own == bases


def test_the_two_architectures() -> None:
    gpt2, llama = RECIPES["demo-gpt2"].build(), RECIPES["demo-llama"].build()
    assert isinstance(gpt2, GPT2LMHeadModel) and gpt2.config.max_position_embeddings >= 256
    assert isinstance(llama, LlamaForCausalLM) and llama.config.max_position_embeddings >= 512
    geometry = head_geometry(llama.config)
    assert geometry.n_kv_heads < geometry.n_heads
    # Learned positions begin as sinusoids: neighbours look alike, places far apart do not.
    positions = gpt2.transformer.wpe.weight
    torch.testing.assert_close(positions, sinusoids(*positions.shape))


def test_a_stage_ends_where_the_next_begins() -> None:
    for recipe in (RECIPES | LOG_RECIPES).values():
        assert recipe.stage_at(0) is recipe.stages[0]
        for stage, following in zip(recipe.stages, recipe.stages[1:], strict=False):
            edge = round(stage.until * recipe.tokens)
            assert recipe.stage_at(edge - 1) is stage and recipe.stage_at(edge + 1) is following
        assert recipe.stage_at(recipe.tokens) is recipe.stages[-1]


def test_sinusoids_by_hand() -> None:
    code = sinusoids(5, 4)
    assert code.shape == (5, 4)
    assert code[0].tolist() == pytest.approx([0, 0.1, 0, 0.1])
    angle = torch.tensor([3.0, 3.0 / 100])
    expected = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten() * 0.1
    torch.testing.assert_close(code[3], expected)
