"""Every row of the family registry, on a real tiny model of that family."""

from types import SimpleNamespace

import pytest
from pyvene import type_to_module_mapping
from torch import nn

from tests.tiny_models import BUILDERS
from utils.ablation import COMPONENT
from utils.errors import UserFacingError
from utils.model_families import FAMILIES, HeadGeometry, family_of, head_geometry, output_projection
from utils.model_loading import LoadedModel


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


def test_geometry() -> None:
    gpt2 = SimpleNamespace(num_hidden_layers=2, num_attention_heads=4, hidden_size=32)
    assert head_geometry(gpt2) == HeadGeometry(2, 4, 4, 8, (None, None))


def test_geometry_with_grouped_queries_and_wide_heads(tiny_llama: LoadedModel) -> None:
    assert tiny_llama.geometry == HeadGeometry(4, 6, 2, 16, (None,) * 4)
    assert tiny_llama.geometry.head_dim != tiny_llama.model.config.hidden_size // 6


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
