"""Model families: one row each, keyed by the config's `model_type`, holding all that the app must know.

A family without a row is refused, never guessed at. To add one: a row here and a case in
tests/fixtures/makers/tiny_models.py, which every contract test then runs on. PyVene's tables follow from the
rows (`pyvene_tables`). TransformerLens finds its own way by the model type; that its patterns are the live
ones, windows and soft caps included, is tested for every row.

All nine configs answer to the same names for what they have in common (`num_hidden_layers`,
`num_attention_heads`, `hidden_size`, `max_position_embeddings`): where one writes `n_layer` or `num_heads`,
transformers maps the common name to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from utils.errors import UserFacingError

Windows = tuple[int | None, ...]
# What no size in a config exceeds; far below where arithmetic with it would fail.
MAX_SIZE = 2**31


def _no_windows(config: Any) -> Windows:
    return (None,) * config.num_hidden_layers


def _one_window(config: Any) -> Windows:
    """Mistral: every layer has the window, or none has where the config says null."""
    return (config.sliding_window,) * config.num_hidden_layers


def _windows_by_layer_type(config: Any) -> Windows:
    """Gemma 2 and Qwen: layers of the type 'sliding_attention' have the window.

    Without a list of its own a config makes one when it is read: in Gemma 2 every second layer slides, in
    Qwen those from `max_window_layers` on where `use_sliding_window` is set.
    """
    return tuple(
        config.sliding_window if kind == "sliding_attention" else None for kind in config.layer_types
    )


def _windows_of_local_layers(config: Any) -> Windows:
    """GPT-Neo: layers of the type 'local' see `window_size` keys."""
    return tuple(config.window_size if kind == "local" else None for kind in config.attention_layers)


def _all_of_it(projected: Tensor, geometry: "HeadGeometry") -> Tensor:
    return projected


def _last_third(projected: Tensor, geometry: "HeadGeometry") -> Tensor:
    """GPT-2: queries, keys and values of all heads side by side."""
    return projected.chunk(3, dim=-1)[2]


def _last_third_of_each_head(projected: Tensor, geometry: "HeadGeometry") -> Tensor:
    """GPT-NeoX: for each head its query, key and value side by side."""
    by_head = projected.unflatten(-1, (geometry.n_heads, 3 * geometry.head_dim))
    return by_head[..., 2 * geometry.head_dim :].flatten(-2)


def _always_a_sum(config: Any) -> str:
    return ""


def _sum_unless_normed_after(config: Any) -> str:
    """OPT: the 350M model norms the stream itself after each block."""
    if not config.do_layer_norm_before:
        return "it normalizes the residual stream itself after each block"
    if config.word_embed_proj_dim != config.hidden_size or config._remove_final_layer_norm:
        return "something else than a final norm stands before its output layer"
    return ""


@dataclass(frozen=True)
class Stream:
    """Where the parts of the residual stream are written and read; paths have {layer} in them.

    In all families the stream at the end is the embeddings plus what each layer's attention and feed-forward
    block add to it, whether the two follow each other or stand side by side (GPT-NeoX).

    Attributes:
        values: the projection that gives the heads' values.
        values_part: takes the values [..., n_kv_heads * head_dim] out of what that projection gives.
        mlp: the module whose output the feed-forward block adds to the stream, a norm after it included.
        final_norm: the norm before the output layer.
        centres: whether the norms take the mean off (LayerNorm) or not (RMSNorm).
        gain_offset: what is added to a norm's weight (Gemma stores its distance from 1).
        attention_norm: the norm between the attention's output and the stream, None for none.
        not_a_sum: from a config, why the stream at the end is no such sum; "" where it is.
    """

    values: str
    mlp: str
    final_norm: str
    centres: bool
    values_part: Callable[[Tensor, "HeadGeometry"], Tensor] = _all_of_it
    gain_offset: float = 0.0
    attention_norm: str | None = None
    not_a_sum: Callable[[Any], str] = _always_a_sum


_LLAMA_STREAM = Stream(
    values="model.layers.{layer}.self_attn.v_proj",
    mlp="model.layers.{layer}.mlp",
    final_norm="model.norm",
    centres=False,
)


@dataclass(frozen=True)
class ModelFamily:
    """What one architecture looks like from outside.

    Attributes:
        model_type: the `model_type` of its config.json; the key of the row.
        label: its name for people.
        output_projection: path of the attention's output projection, with {layer}. The input of that module
            is the concatenation of the heads' outputs, n_heads * head_dim wide: where a head is switched off.
        stream: where the parts of its residual stream are written and read.
        starts_with_bos: whether by the family's convention every prompt starts with the tokenizer's BOS token
            (where it has one), although the tokenizer does not put it there (`models/start_tokens.py`).
        grouped_query: whether query heads may share keys and values (`num_key_value_heads`).
        own_head_dim: whether the config may give heads another width (`head_dim`) than hidden size / heads.
        windows: from a config, how many keys a query of each layer sees, itself included; None for all.
    """

    model_type: str
    label: str
    output_projection: str
    stream: Stream
    starts_with_bos: bool = False
    grouped_query: bool = False
    own_head_dim: bool = False
    windows: Callable[[Any], Windows] = _no_windows


# BOS is the token that parts texts in pretraining (<|endoftext|>). It goes first, as in TransformerLens,
# because heads need a first token to rest on. Other families' tokenizers put one first, or nothing is.
_CONVENTION = True

FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {
        family.model_type: family
        for family in (
            ModelFamily(
                model_type="gpt2",
                label="GPT-2",
                output_projection="transformer.h.{layer}.attn.c_proj",
                stream=Stream(
                    values="transformer.h.{layer}.attn.c_attn",
                    values_part=_last_third,
                    mlp="transformer.h.{layer}.mlp",
                    final_norm="transformer.ln_f",
                    centres=True,
                ),
                starts_with_bos=_CONVENTION,
            ),
            ModelFamily(
                model_type="gpt_neo",
                label="GPT-Neo",
                output_projection="transformer.h.{layer}.attn.attention.out_proj",
                stream=Stream(
                    values="transformer.h.{layer}.attn.attention.v_proj",
                    mlp="transformer.h.{layer}.mlp",
                    final_norm="transformer.ln_f",
                    centres=True,
                ),
                starts_with_bos=_CONVENTION,
                windows=_windows_of_local_layers,
            ),
            ModelFamily(
                model_type="gpt_neox",
                label="GPT-NeoX/Pythia",
                output_projection="gpt_neox.layers.{layer}.attention.dense",
                stream=Stream(
                    values="gpt_neox.layers.{layer}.attention.query_key_value",
                    values_part=_last_third_of_each_head,
                    mlp="gpt_neox.layers.{layer}.mlp",
                    final_norm="gpt_neox.final_layer_norm",
                    centres=True,
                ),
                starts_with_bos=_CONVENTION,
            ),
            ModelFamily(
                model_type="opt",
                label="OPT",
                output_projection="model.decoder.layers.{layer}.self_attn.out_proj",
                stream=Stream(
                    values="model.decoder.layers.{layer}.self_attn.v_proj",
                    # Its blocks work on rows of all texts together; the capture lays them out again.
                    mlp="model.decoder.layers.{layer}.fc2",
                    final_norm="model.decoder.final_layer_norm",
                    centres=True,
                    not_a_sum=_sum_unless_normed_after,
                ),
            ),
            ModelFamily(
                model_type="llama",
                label="Llama",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                stream=_LLAMA_STREAM,
                grouped_query=True,
                own_head_dim=True,
            ),
            ModelFamily(
                model_type="qwen2",
                label="Qwen2",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                stream=_LLAMA_STREAM,
                grouped_query=True,
                own_head_dim=True,
                windows=_windows_by_layer_type,
            ),
            ModelFamily(
                model_type="qwen3",
                label="Qwen3",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                stream=_LLAMA_STREAM,
                grouped_query=True,
                own_head_dim=True,
                windows=_windows_by_layer_type,
            ),
            ModelFamily(
                model_type="mistral",
                label="Mistral",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                stream=_LLAMA_STREAM,
                grouped_query=True,
                own_head_dim=True,
                windows=_one_window,
            ),
            ModelFamily(
                model_type="gemma2",
                label="Gemma 2",
                output_projection="model.layers.{layer}.self_attn.o_proj",
                stream=Stream(
                    values="model.layers.{layer}.self_attn.v_proj",
                    mlp="model.layers.{layer}.post_feedforward_layernorm",
                    final_norm="model.norm",
                    centres=False,
                    gain_offset=1.0,
                    attention_norm="model.layers.{layer}.post_attention_layernorm",
                ),
                grouped_query=True,
                own_head_dim=True,
                windows=_windows_by_layer_type,
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
        windows: a layer's attention window: how many keys a query sees, itself included (so the last `window`
            positions); None where it sees everything before it.
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    windows: Windows


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


def geometry_problem(config: Any) -> str:
    """What is wrong with the sizes in a transformers config of a supported family; "" where nothing is.

    A negative number of heads, for one, is taken by transformers and makes a model of nothing.
    """
    family = family_of(config)
    sizes = [
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_size",
        "vocab_size",
        "max_position_embeddings",
    ]
    optional = ["num_key_value_heads"] * family.grouped_query + ["head_dim"] * family.own_head_dim
    sizes += [name for name in optional if getattr(config, name, None) is not None]
    for name in sizes:
        size = getattr(config, name, None)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_SIZE:
            return f"{name} is {str(size)[:40]}"
    heads = config.num_attention_heads
    if "head_dim" not in sizes and config.hidden_size % heads:
        return f"{heads} heads do not part a width of {config.hidden_size}"
    if "num_key_value_heads" in sizes and heads % config.num_key_value_heads:
        return f"{heads} heads cannot share {config.num_key_value_heads} keys and values"
    return ""


def head_geometry(config: Any) -> HeadGeometry:
    """Read the heads' layout from a transformers config of a supported family."""
    family = family_of(config)
    n_heads: int = config.num_attention_heads
    # A field that the family does not have is not read, even where a config.json brings one along:
    # transformers ignores it too.
    n_kv_heads = getattr(config, "num_key_value_heads", None) if family.grouped_query else None
    head_dim = getattr(config, "head_dim", None) if family.own_head_dim else None
    return HeadGeometry(
        n_layers=config.num_hidden_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads or n_heads,
        head_dim=head_dim or config.hidden_size // n_heads,
        windows=family.windows(config),
    )


def output_projection(model: nn.Module, family: ModelFamily, layer: int) -> nn.Module:
    """The output projection of one layer; its input is [batch, position, n_heads * head_dim]."""
    return model.get_submodule(family.output_projection.format(layer=layer))
