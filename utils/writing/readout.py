"""A model's weights between what a head puts out and a logit, as plain tensors.

The output layer reads the residual stream x at a position through the final norm: logit_t = (x * s * g + b) .
U_t + c_t, with the norm's scale s there, its weight g and bias b, and the output layer's rows U and bias c;
LayerNorm takes the mean off x before. With s held fixed that is linear in x, and taking the mean off x is the
same as taking it off g * U_t: so a token is a direction in the stream (Elhage et al. 2021, folded weights).
"""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from utils.models.loading import LoadedModel

# The mean row of a large output layer takes some hundredths of a second.
_MEANS: weakref.WeakKeyDictionary[LoadedModel, Tensor] = weakref.WeakKeyDictionary()
_GUARD = threading.Lock()


def norm_gain(norm: nn.Module, offset: float) -> Tensor:
    """What a norm multiplies by [width], float32."""
    weight: Any = norm.weight
    return weight.detach().float() + offset


def norm_scale(norm: nn.Module, stream: Tensor, centres: bool) -> Tensor:
    """One over the deviation that a norm divides the stream [..., width] by, [...]."""
    eps = float(getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0)))
    if centres:
        return (stream.var(-1, correction=0) + eps).rsqrt()
    return (stream.pow(2).mean(-1) + eps).rsqrt()


def final_norm(loaded: LoadedModel) -> nn.Module:
    """The norm before the output layer."""
    return loaded.module(loaded.family.stream.final_norm)


def final_scale(loaded: LoadedModel, stream: Tensor) -> Tensor:
    """The final norm's scale for a stream [..., width]: [...], on the stream's device."""
    return norm_scale(final_norm(loaded), stream.float(), loaded.family.stream.centres)


def _output_layer(loaded: LoadedModel) -> Any:
    return loaded.model.get_output_embeddings()


def fold(loaded: LoadedModel, rows: Tensor) -> Tensor:
    """Rows of the output layer [..., width] as directions in the stream [..., width], float32."""
    folded = rows.float() * norm_gain(final_norm(loaded), loaded.family.stream.gain_offset)
    return folded - folded.mean(-1, keepdim=True) if loaded.family.stream.centres else folded


def token_directions(loaded: LoadedModel, tokens: Sequence[int]) -> Tensor:
    """The direction of each token in the residual stream, [token, width], float32, on the model's device.

    Its product with what a part writes, times the final norm's scale, is that part's term in the logit.
    """
    weight: Tensor = _output_layer(loaded).weight.detach()
    return fold(loaded, weight[torch.tensor(list(tokens), device=weight.device)])


def mean_direction(loaded: LoadedModel) -> Tensor:
    """The mean direction of all tokens [width]: what a logit is centred by. Shared, do not change it."""
    with _GUARD:
        cached = _MEANS.get(loaded)
    if cached is None:
        weight: Tensor = _output_layer(loaded).weight.detach()
        cached = fold(loaded, weight.mean(0, dtype=torch.float32))
        with _GUARD:
            _MEANS[loaded] = cached
    return cached


def all_logits(loaded: LoadedModel, vectors: Tensor) -> Tensor:
    """The terms of some vectors [..., width] in all logits, [..., vocab], for a final scale of 1."""
    weight: Tensor = _output_layer(loaded).weight.detach()
    stream = loaded.family.stream
    vectors = vectors.to(weight.device)
    if stream.centres:
        vectors = vectors - vectors.mean(-1, keepdim=True)
    read = vectors * norm_gain(final_norm(loaded), stream.gain_offset)
    return (read.to(weight.dtype) @ weight.T).float()


def token_constants(loaded: LoadedModel, tokens: Sequence[int]) -> Tensor:
    """What the final norm's bias and the output layer's add to each token's logit, [token], float32."""
    layer, norm = _output_layer(loaded), final_norm(loaded)
    weight: Tensor = layer.weight.detach()
    at = torch.tensor(list(tokens), device=weight.device)
    constants = torch.zeros(len(tokens), device=weight.device)
    if getattr(norm, "bias", None) is not None:
        bias: Any = norm.bias
        constants = constants + weight[at].float() @ bias.detach().float()
    if getattr(layer, "bias", None) is not None:
        constants = constants + layer.bias.detach()[at].float()
    return constants


def all_constants(loaded: LoadedModel) -> Tensor | float:
    """`token_constants` of the whole vocabulary [vocab], 0 where there are none."""
    layer, norm = _output_layer(loaded), final_norm(loaded)
    constants: Tensor | float = 0.0
    if getattr(norm, "bias", None) is not None:
        bias: Any = norm.bias
        constants = (layer.weight.detach() @ bias.detach().to(layer.weight.dtype)).float()
    if getattr(layer, "bias", None) is not None:
        constants = constants + layer.bias.detach().float()
    return constants


def projection_rows(loaded: LoadedModel, layer: int) -> Tensor:
    """A layer's output projection as rows [n_heads * d_head, width], each head's d_head of them together."""
    projection: Any = loaded.output_projection(layer)
    weight: Tensor = projection.weight.detach().float()
    return weight if isinstance(projection, Conv1D) else weight.T


def projection_bias(loaded: LoadedModel, layer: int) -> Tensor | None:
    """The bias of a layer's output projection [width], float32; None where it has none."""
    projection: Any = loaded.output_projection(layer)
    return None if projection.bias is None else projection.bias.detach().float()


def attention_norm(loaded: LoadedModel, layer: int) -> nn.Module | None:
    """The norm between a layer's attention and the stream; None where there is none."""
    path = loaded.family.stream.attention_norm
    return None if path is None else loaded.module(path.format(layer=layer))


def is_capped(loaded: LoadedModel) -> bool:
    """Whether the model bends its logits afterwards (soft-capping): what is taken apart is before that."""
    return bool(getattr(loaded.model.config, "final_logit_softcapping", None))
