"""PyVene's tables after they were completed; that PyVene then does right is shown in test_ablation.py."""

import pyvene as pv
import torch
from pyvene import type_to_dimension_mapping, type_to_module_mapping
from transformers import GPT2LMHeadModel, GPT2Model, OPTForCausalLM, Qwen3ForCausalLM

from utils.forward.pyvene_adapter import COMPONENT, OwnHooksIntervenable, complete_tables
from utils.models.loading import LoadedModel


def test_every_family_goes_through_the_same_mapping(loaded: LoadedModel) -> None:
    path, hook, split = type_to_module_mapping[type(loaded.model)][COMPONENT]
    assert path.replace("[%s]", ".{layer}") == loaded.family.output_projection
    assert (hook, len(split)) == ("register_forward_pre_hook", 2)
    assert COMPONENT not in type_to_dimension_mapping[type(loaded.model)]


def test_heads_are_split_by_query_head(loaded: LoadedModel) -> None:
    """What PyVene hands to an intervention on one head is that head's slice, and nothing more."""
    geometry, ids = loaded.geometry, torch.tensor([[3, 5, 9, 5]])
    inputs: list[torch.Tensor] = []
    projection = loaded.model.get_submodule(loaded.family.output_projection.format(layer=1))
    collect = {
        "layer": 1,
        "component": COMPONENT,
        "unit": "h",
        "intervention": pv.CollectIntervention(keep_last_dim=True),
    }
    with loaded.lock, torch.inference_mode():
        with projection.register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone())):
            wrapper = OwnHooksIntervenable([collect], loaded.model)
            (_, collected), _ = wrapper(
                {"input_ids": ids},
                unit_locations={"sources->base": (None, [[list(range(geometry.n_heads))]])},
            )
    heads = inputs[0].unflatten(-1, (geometry.n_heads, geometry.head_dim)).transpose(1, 2)
    assert torch.equal(collected[0], heads)


def test_what_pyvene_brings_along_stays_and_a_second_call_changes_nothing() -> None:
    before = {kind: dict(row) for kind, row in type_to_module_mapping.items()}
    sizes = {kind: dict(row) for kind, row in type_to_dimension_mapping.items()}
    complete_tables(COMPONENT)
    assert type_to_module_mapping == before and type_to_dimension_mapping == sizes
    assert "block_output" in type_to_module_mapping[GPT2LMHeadModel]
    assert "block_output" in type_to_dimension_mapping[GPT2LMHeadModel]
    # PyVene shares this dict with the class that we do not touch.
    assert COMPONENT in type_to_dimension_mapping[GPT2Model]
    # Not in PyVene's tables at all.
    for model_class in (OPTForCausalLM, Qwen3ForCausalLM):
        assert list(type_to_module_mapping[model_class]) == [COMPONENT]
