"""Model families: one row each, keyed by the config's `model_type`, holding all that the app must know.

A family without a row is refused, never guessed at. To add one: a row here and a case in
tests/tiny_models.py, which every contract test then runs on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from utils.errors import UserFacingError


@dataclass(frozen=True)
class ModelFamily:
    """What one architecture looks like from outside.

    Attributes:
        model_type: the `model_type` of its config.json; the key of the row.
        label: its name for people.
        output_projection: path of the attention's output projection, with {layer}. The input of that module
            is the concatenation of the heads' outputs, n_heads * head_dim wide: where a head is switched off.
        prepend_bos: whether every prompt starts with the tokenizer's BOS token (where it has one).
    """

    model_type: str
    label: str
    output_projection: str
    prepend_bos: bool


FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {
        family.model_type: family
        for family in (
            ModelFamily(
                model_type="gpt2",
                label="GPT-2",
                output_projection="transformer.h.{layer}.attn.c_proj",
                prepend_bos=True,
            ),
            ModelFamily(
                model_type="llama",
                label="Llama",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                prepend_bos=True,
            ),
        )
    }
)


@dataclass(frozen=True)
class HeadGeometry:
    """How many heads there are, and how wide.

    Attributes:
        n_layers: attention layers.
        n_heads: query heads a layer; the heads that the project names and switches off.
        n_kv_heads: key and value heads a layer; fewer than n_heads with grouped-query attention.
        head_dim: width of one head; not always hidden size / n_heads.
        windows: a layer's attention window in tokens, None where it sees everything before it.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    windows: tuple[int | None, ...]


def family_of(config: Any) -> ModelFamily:
    """The row for a transformers config (or the dict of a config.json).

    Raises:
        UserFacingError: no row for this `model_type`; the families that have one are listed.
    """
    model_type = config.get("model_type") if isinstance(config, Mapping) else config.model_type
    family = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if family is None:
        supported = ", ".join(f"{row.label} ({row.model_type})" for row in FAMILIES.values())
        named = f"model type '{model_type}' is" if model_type else "model has no model type, so it is"
        raise UserFacingError(f"The {named} not one this app can read.", f"Supported families: {supported}.")
    return family


def head_geometry(config: Any) -> HeadGeometry:
    """Read the heads' layout from a transformers config of a supported family."""
    n_layers: int = config.num_hidden_layers
    n_heads: int = config.num_attention_heads
    return HeadGeometry(
        n_layers=n_layers,
        n_heads=n_heads,
        # GPT-2's config has neither field: every head has keys and values of its own.
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // n_heads,
        # No layer of the families above is windowed.
        windows=(None,) * n_layers,
    )


def output_projection(model: nn.Module, family: ModelFamily, layer: int) -> nn.Module:
    """The output projection of one layer; its input is [batch, position, n_heads * head_dim]."""
    return model.get_submodule(family.output_projection.format(layer=layer))
