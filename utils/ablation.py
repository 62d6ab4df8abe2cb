"""Heads switched off by PyVene, for the live page and for the study.

Zero ablation of a head sets its slice of the *input* of the attention output projection to zero at every
position of the forward (METHODS.md, section 4); shared keys and values stay as they are. It holds for the
one forward that it is asked for: decoding with a key/value cache is one `forward` a step, each with the same
heads. (PyVene's own `generate` intervenes on the prompt alone or on the new tokens alone, never on both.)
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import torch

from utils.errors import UserFacingError
from utils.heads import Head
from utils.model_families import HeadGeometry
from utils.model_loading import LoadedModel

# PyVene prints a line about an optional package when it is imported.
with contextlib.redirect_stdout(io.StringIO()):
    import pyvene as pv

# PyVene's name for the input of the output projection, split by query head.
COMPONENT = "head_attention_value_output"


class OwnHooksIntervenable(pv.IntervenableModel):
    """PyVene's wrapper, which removes its own hooks only.

    The original removes *every* hook on the model after each forward, among them those by which transformers
    collects attention patterns: from then on `output_attentions=True` gives an empty tuple.
    """

    def __init__(self, config: Any, model: torch.nn.Module, **kwargs: Any) -> None:
        super().__init__(config, model, **kwargs)
        self._own_hooks: list[Any] = []

    def _intervention_getter(self, *args: Any, **kwargs: Any) -> Any:
        handles = super()._intervention_getter(*args, **kwargs)
        self._own_hooks.extend(handles.handlers)
        return handles

    def _intervention_setter(self, *args: Any, **kwargs: Any) -> Any:
        handles = super()._intervention_setter(*args, **kwargs)
        self._own_hooks.extend(handles.handlers)
        return handles

    def _remove_forward_hooks(self) -> None:
        for handle in self._own_hooks:
            handle.remove()
        self._own_hooks.clear()


def check_heads(heads: Collection[Head], geometry: HeadGeometry, model_name: str) -> None:
    """Raise UserFacingError for the first of `heads` that the model does not have."""
    for head in heads:
        if not (0 <= head.layer < geometry.n_layers and 0 <= head.head < geometry.n_heads):
            raise UserFacingError(
                f"{head} is not a head of {model_name}.",
                f"Layers go from 0 to {geometry.n_layers - 1} and heads from 0 to {geometry.n_heads - 1}.",
            )


def zero_ablation(heads: Collection[Head], batch: int) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """PyVene's configuration and unit locations that switch `heads` off in every row of a batch.

    Returns:
        The list of interventions, one a layer, for `OwnHooksIntervenable`; and `unit_locations` for its call,
        None where there is nothing to switch off.
    """
    by_layer: dict[int, list[int]] = defaultdict(list)
    for layer, head in sorted(set(heads)):
        by_layer[layer].append(head)
    config = [
        # An instance: with `intervention_type` PyVene computes a width of its own, which is wrong where
        # head_dim is not hidden size / heads.
        {"layer": layer, "component": COMPONENT, "unit": "h", "intervention": pv.ZeroIntervention()}
        for layer in by_layer
    ]
    locations = [[heads_of_layer] * batch for heads_of_layer in by_layer.values()]
    return config, {"sources->base": (None, locations)} if locations else None


def forward(loaded: LoadedModel, inputs: Mapping[str, Any], ablated: Collection[Head] = ()) -> Any:
    """One forward by PyVene with the heads `ablated` switched off; the model is unchanged afterwards.

    Runs under the model's lock and in inference mode. Building the wrapper takes about 1 ms, so there is a
    new one each time and nothing of one request is left for the next.

    Args:
        loaded: the model.
        inputs: what the model's forward takes: `input_ids` [batch, position], and any of `attention_mask`,
            `past_key_values`, `use_cache`, `output_attentions`, `logits_to_keep`.
        ablated: heads to switch off, in all rows and at all positions of this forward.

    Returns:
        The model's own output: `logits` [batch, position, vocab], and `attentions` (a tuple of
        [batch, head, query, key]) and `past_key_values` where they were asked for. Its tensors are inference
        tensors: clone them outside inference mode before changing them in place.

    Raises:
        UserFacingError: one of `ablated` is not a head of this model.
    """
    check_heads(ablated, loaded.geometry, loaded.name)
    with loaded.lock, torch.inference_mode():
        # PyVene takes the first input's length for the size of the batch.
        base = {"input_ids": inputs["input_ids"], **inputs}
        config, locations = zero_ablation(ablated, batch=len(base["input_ids"]))
        wrapper = OwnHooksIntervenable(config, loaded.model)
        # (original outputs, outputs), but the other way round with no intervention; the one that was not
        # asked for is None.
        first, second = wrapper(base, unit_locations=locations)
    return second if locations else first
