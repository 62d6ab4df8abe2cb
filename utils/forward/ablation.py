"""Heads ablated by PyVene, for the live page and for the study.

Ablation of a head puts something else in the place of its slice of the *input* of the attention output
projection, at every position of the forward (docs/METHODS.md, section 4): zero, the head's mean over the
natural probe sentences, or its values on a second prompt (`interchange`). Shared keys and values stay as they
are. It holds for the one forward that it is asked for: decoding with a key/value cache is one `forward` a
step, each with the same heads. (PyVene's own `generate` intervenes on the prompt alone or on the new tokens
alone, never on both.)
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from utils.errors import UserFacingError
from utils.forward.interchange import INTERCHANGE, Interchange, check_lengths, interchange_values
from utils.forward.mean_activations import mean_head_outputs
from utils.forward.pyvene_adapter import COMPONENT, OwnHooksIntervenable, PutConstant
from utils.heads import Head
from utils.models.families import HeadGeometry
from utils.models.loading import LoadedModel

# What is put in a head's place: nothing at all, or what it puts out on average.
AblationMode = Literal["zero", "mean"]
ABLATION_MODES: tuple[AblationMode, ...] = get_args(AblationMode)
# Those two go with any text; the third has a second prompt.
AblationMethod = AblationMode | Interchange
MethodKey = Literal["zero", "mean", "interchange"]
ABLATION_METHODS: tuple[MethodKey, ...] = (*ABLATION_MODES, INTERCHANGE)


def check_heads(heads: Collection[Head], geometry: HeadGeometry, model_name: str) -> None:
    """Raise UserFacingError for the first of `heads` that the model does not have."""
    for head in heads:
        if not (0 <= head.layer < geometry.n_layers and 0 <= head.head < geometry.n_heads):
            raise UserFacingError(
                f"{head} is not a head of {model_name}.",
                f"Layers go from 0 to {geometry.n_layers - 1} and heads from 0 to {geometry.n_heads - 1}.",
            )


def check_mode(mode: AblationMethod) -> None:
    """Raise UserFacingError for a way of ablation that does not exist."""
    if not isinstance(mode, Interchange) and mode not in ABLATION_MODES:
        raise UserFacingError(
            f"'{mode[:40]}' is not a way to ablate heads.",
            f"Choose one of: {', '.join(ABLATION_MODES)}.",
        )


def replacements(loaded: LoadedModel, mode: AblationMethod) -> Tensor | None:
    """What is put in the heads' place, computed at the first call for it; None for zero.

    Returns:
        [layer, head, d_head] for the mean, [layer, head, position, d_head] for an interchange.
    """
    if isinstance(mode, Interchange):
        return interchange_values(loaded, mode.ids)
    return mean_head_outputs(loaded) if mode == "mean" else None


def interventions(
    heads_by_row: Sequence[Collection[Head]], values: Tensor | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """PyVene's configuration and unit locations that switch off a set of heads in each row of a batch.

    Args:
        heads_by_row: the heads that are off, a set a row.
        values: what is put in their place, as `replacements` gives it; None for zero.

    Returns:
        The list of interventions, one a layer, for `OwnHooksIntervenable`; and `unit_locations` for its call,
        None where there is nothing to switch off in any row.
    """
    rows_of: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, heads in enumerate(heads_by_row):
        for layer, head in set(heads):
            rows_of[layer][head].append(row)
    config: list[dict[str, Any]] = []
    locations: list[list[list[int]]] = []
    for layer, rows_by_head in sorted(rows_of.items()):
        heads = sorted(rows_by_head)
        chosen = torch.zeros(len(heads_by_row), len(heads), dtype=torch.bool)
        for unit, head in enumerate(heads):
            chosen[rows_by_head[head], unit] = True
        value = None if values is None else values[layer, heads]
        # An instance: with `intervention_type` PyVene computes a width of its own, which is wrong where
        # head_dim is not hidden size / heads.
        put = PutConstant(chosen, value)
        config.append({"layer": layer, "component": COMPONENT, "unit": "h", "intervention": put})
        # PyVene wants as many units in every row: a layer's heads that are off in any of them.
        locations.append([heads] * len(heads_by_row))
    return config, {"sources->base": (None, locations)} if config else None


def forward(
    loaded: LoadedModel,
    inputs: Mapping[str, Any],
    ablated: Collection[Head] = (),
    mode: AblationMethod = "zero",
) -> Any:
    """One forward with the heads `ablated` by PyVene; the model is unchanged afterwards.

    Runs under the model's lock and in inference mode. Building the wrapper takes about 1 ms, so there is a
    new one each time and nothing of one request is left for the next.

    Args:
        loaded: the model.
        inputs: what the model's forward takes: `input_ids` [batch, position], and any of `attention_mask`,
            `past_key_values`, `use_cache`, `output_attentions`, `logits_to_keep`.
        ablated: heads to ablate, in all rows and at all positions of this forward.
        mode: what is put in their place: "zero", "mean" (`mean_activations.mean_head_outputs`), or the values
            on a second prompt of as many tokens (`Interchange`).

    Returns:
        The model's own output: `logits` [batch, position, vocab], and `attentions` (a tuple of
        [batch, head, query, key]) and `past_key_values` where they were asked for. Its tensors are inference
        tensors: clone them outside inference mode before changing them in place.

    Raises:
        UserFacingError: one of `ablated` is not a head of this model, there is no such mode, or a second
            prompt of another length.
    """
    rows = {key: value for key, value in inputs.items() if key != "input_ids"}
    return forward_rows(loaded, inputs["input_ids"], [ablated] * len(inputs["input_ids"]), mode, **rows)


def forward_rows(
    loaded: LoadedModel,
    ids: Tensor,
    heads_by_row: Sequence[Collection[Head]],
    mode: AblationMethod = "zero",
    **inputs: Any,
) -> Any:
    """As `forward`, with a different set of heads switched off in each row of the batch.

    Args:
        loaded: the model.
        ids: token ids [batch, position].
        heads_by_row: the heads that are off, a set a row; a set may be empty.
        mode: what is put in their place, as in `forward`.
        **inputs: what else the model's forward takes.

    Raises:
        UserFacingError: a head that the model does not have, or no such mode.
        ValueError: not as many sets as rows.
    """
    check_mode(mode)
    for heads in heads_by_row:
        check_heads(heads, loaded.geometry, loaded.name)
    if len(heads_by_row) != len(ids):
        raise ValueError(f"heads_by_row must have one set a row, {len(ids)}. Got {len(heads_by_row)}.")
    if isinstance(mode, Interchange):
        check_lengths(ids.shape[1], len(mode.ids))
    values = replacements(loaded, mode) if any(heads_by_row) else None
    return forward_replaced(loaded, ids, heads_by_row, values, **inputs)


def forward_replaced(
    loaded: LoadedModel,
    ids: Tensor,
    heads_by_row: Sequence[Collection[Head]],
    values: Tensor | None,
    **inputs: Any,
) -> Any:
    """As `forward_rows`, with what is put in the heads' place at hand, as `replacements` gives it.

    For a caller in whose forward no other may run (`partial_forward`); heads and lengths are its business.
    """
    with loaded.lock, torch.inference_mode():
        config, locations = interventions(heads_by_row, values)
        if locations is None:
            return loaded.model(input_ids=ids, **inputs)
        wrapper = OwnHooksIntervenable(config, loaded.model)
        # PyVene takes the first input's length for the size of the batch.
        _, output = wrapper({"input_ids": ids, **inputs}, unit_locations=locations)
    return output
