"""Every row of the family registry, on a real tiny model of that family."""

from typing import Any

import pytest
import torch
from pyvene import type_to_module_mapping
from torch import nn
from transformers import (
    Gemma2Config,
    GPT2Config,
    GPTNeoConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from tests.fixtures.makers.tiny_models import BUILDERS, STARTING, WINDOW, build_tokenizer
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.forward.pyvene_adapter import COMPONENT
from utils.models.families import (
    FAMILIES,
    HeadGeometry,
    family_of,
    head_geometry,
    output_projection,
)
from utils.models.loading import LoadedModel
from utils.models.start_tokens import StartToken, start_token


def test_every_family_has_a_tiny_model_and_is_keyed_by_its_type() -> None:
    assert set(BUILDERS) == set(FAMILIES)
    assert all(key == family.model_type for key, family in FAMILIES.items())


def test_family_of_reads_a_config_and_a_config_file(loaded: LoadedModel) -> None:
    assert family_of(loaded.model.config) is loaded.family
    assert family_of(loaded.model.config.to_dict()) is loaded.family


@pytest.mark.parametrize(
    "config", [{"model_type": "bert"}, {}, {"model_type": ["gpt2"]}, {"model_type": None}]
)
def test_an_unknown_family_is_refused_and_the_supported_ones_are_listed(config: dict[str, object]) -> None:
    with pytest.raises(UserFacingError) as caught:
        family_of(config)
    assert all(model_type in caught.value.remedy for model_type in FAMILIES)


# What tests/fixtures/makers/tiny_models.py builds: layers, query heads, key-value heads, head width, windows.
GEOMETRIES = {
    "gpt2": HeadGeometry(3, 4, 4, 8, (None,) * 3),
    "gpt_neo": HeadGeometry(4, 4, 4, 8, (None, WINDOW, None, WINDOW)),
    "gpt_neox": HeadGeometry(4, 6, 6, 8, (None,) * 4),
    "opt": HeadGeometry(3, 4, 4, 8, (None,) * 3),
    "llama": HeadGeometry(4, 6, 2, 16, (None,) * 4),
    "qwen2": HeadGeometry(4, 6, 2, 8, (None, None, WINDOW, WINDOW)),
    "qwen3": HeadGeometry(4, 6, 2, 16, (None, None, None, WINDOW)),
    "mistral": HeadGeometry(4, 6, 2, 16, (WINDOW,) * 4),
    "gemma2": HeadGeometry(4, 6, 2, 16, (WINDOW, None, WINDOW, None)),
}


def test_geometry(loaded: LoadedModel) -> None:
    assert loaded.geometry == GEOMETRIES[loaded.family.model_type]


def test_the_windows_are_what_the_model_attends_to(loaded: LoadedModel) -> None:
    """A query sees as many keys as its layer's window says, the last ones, and each of them."""
    ids = list(range(10, 10 + 3 * WINDOW))
    attention = capture(loaded, ids).attention
    for pattern, window in zip(attention, loaded.geometry.windows, strict=True):
        distance = torch.arange(len(ids))[:, None] - torch.arange(len(ids))
        seen = (distance >= 0) & (distance < (window or len(ids)))
        # Any head will do: some weights are too small for float32.
        assert torch.equal((pattern > 0).any(0), seen)


# What the tiny models do not have: windows that a config names and does not use.
UNUSED_WINDOWS = {
    "Mistral from 0.2 on": MistralConfig(num_hidden_layers=2, sliding_window=None),
    "Qwen2": Qwen2Config(num_hidden_layers=2, sliding_window=4096, use_sliding_window=False),
    "Qwen2 whose windowed layers start later": Qwen2Config(
        num_hidden_layers=2, sliding_window=4096, use_sliding_window=True, max_window_layers=2
    ),
    "Qwen3": Qwen3Config(num_hidden_layers=2, sliding_window=4096, use_sliding_window=False),
    "GPT-Neo without local layers": GPTNeoConfig(num_layers=2, attention_types=[[["global"], 2]]),
    "GPT-2 with fields of others": GPT2Config.from_dict(
        {
            "n_layer": 2,
            "sliding_window": 8,
            "head_dim": 7,
            "num_key_value_heads": 3,
            "layer_types": ["sliding_attention"] * 2,
        }
    ),
}


@pytest.mark.parametrize("config", UNUSED_WINDOWS.values(), ids=UNUSED_WINDOWS.keys())
def test_a_window_that_is_not_used_is_none(config: PreTrainedConfig) -> None:
    geometry = head_geometry(config)
    assert geometry.windows == (None, None)
    if config.model_type == "gpt2":
        assert (geometry.n_kv_heads, geometry.head_dim) == (12, 64)


def test_released_sizes() -> None:
    # As in the config.json of google/gemma-2-2b, Qwen/Qwen2.5-0.5B and EleutherAI/gpt-neo-125m.
    gemma = head_geometry(Gemma2Config())
    assert gemma == HeadGeometry(26, 8, 4, 256, (4096, None) * 13)
    qwen = Qwen2Config(
        hidden_size=896,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_window_layers=21,
    )
    assert head_geometry(qwen) == HeadGeometry(24, 14, 2, 64, (None,) * 24)
    neo = GPTNeoConfig(
        hidden_size=768, num_layers=12, num_heads=12, attention_types=[[["global", "local"], 6]]
    )
    assert head_geometry(neo) == HeadGeometry(12, 12, 12, 64, (None, 256) * 6)


class TestStartToken:
    def test_the_row_decides(self, loaded: LoadedModel) -> None:
        bos: Any = loaded.tokenizer.bos_token_id
        assert bos is not None
        start = start_token(loaded.family, loaded.tokenizer)
        convention, habit = loaded.family.starts_with_bos, loaded.family.model_type in STARTING
        assert start == StartToken(bos if convention or habit else None, habit, not (convention or habit))

    def test_a_tokenizer_without_bos_has_none(self) -> None:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=build_tokenizer().backend_tokenizer)
        assert all(start_token(family, tokenizer).id is None for family in FAMILIES.values())

    def test_a_tokenizer_that_puts_one_first_is_believed(self) -> None:
        tokenizer = build_tokenizer(starts=True)
        for family in FAMILIES.values():
            assert start_token(family, tokenizer) == StartToken(0, True, open_question=False)

    def test_the_convention_is_that_of_gpt2s_kin(self) -> None:
        kin = {key for key, family in FAMILIES.items() if family.starts_with_bos}
        assert kin == {"gpt2", "gpt_neo", "gpt_neox"}


def test_the_projection_takes_all_heads_and_is_the_module_that_pyvene_hooks(loaded: LoadedModel) -> None:
    geometry = loaded.geometry
    pyvene_path = type_to_module_mapping[type(loaded.model)][COMPONENT][0]
    for layer in range(geometry.n_layers):
        module = output_projection(loaded.model, loaded.family, layer)
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        assert geometry.n_heads * geometry.head_dim in weight.shape
        path = (pyvene_path % layer).replace("[", ".").replace("]", "")
        assert loaded.model.get_submodule(path) is module
