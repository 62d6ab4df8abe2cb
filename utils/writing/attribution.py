"""Direct logit attribution: what each part of a model adds to a token's logit at one position.

Elhage et al. 2021, Wang et al. 2022; docs/METHODS.md, section 6. The final norm's scale at the position is
held fixed; a norm after the attention (Gemma 2) is applied with its own scale held fixed. Everything comes
from one forward (`forward/stream_capture.py`). Where a model caps its logits, they are those before the cap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from utils.errors import UserFacingError
from utils.forward.stream_capture import StreamParts
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.writing.readout import (
    attention_norm,
    final_scale,
    is_capped,
    mean_direction,
    norm_gain,
    norm_scale,
    projection_bias,
    projection_rows,
    token_constants,
    token_directions,
)


@dataclass(frozen=True, eq=False)
class DirectEffect:
    """What each part adds to one logit, or to the difference of two; tensors are float64, in logits.

    Attributes:
        position: whose next token is predicted.
        target: the token.
        against: the token whose logit is taken off; None for the logit of `target` itself.
        heads: [layer, head].
        mlps: [layer].
        embedding: the embeddings, positions included.
        bias: biases of the output projections, the final norm and the output layer.
        logit: the model's own logit (difference), before any cap; what all parts add up to.
        capped: whether the model caps its logits afterwards.
    """

    position: int
    target: int
    against: int | None
    heads: Tensor
    mlps: Tensor
    embedding: float
    bias: float
    logit: float
    capped: bool

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return float(self.heads.sum() + self.mlps.sum()) + self.embedding + self.bias

    def strongest(self, count: int = 5) -> list[Head]:
        """The heads with the largest effects in either direction, the largest first."""
        order = self.heads.abs().flatten().argsort(descending=True, stable=True)[:count]
        return [Head(*divmod(index, self.heads.shape[1])) for index in order.tolist()]


def read_terms(outputs: Tensor, rows: Tensor, directions: Tensor) -> Tensor:
    """What heads' outputs come to in some directions of the stream.

    >>> outputs = torch.tensor([[[1.0, 2.0]]])      # one position, one head, two wide
    >>> rows = torch.tensor([[1.0, 0, 0], [0, 1, 0]])   # into a stream three wide
    >>> read_terms(outputs, rows, torch.tensor([[0.0, 1, 5]])).tolist()
    [[[2.0]]]

    Args:
        outputs: [position, head, d_head].
        rows: the output projection [head * d_head, width].
        directions: [k, width].

    Returns:
        [head, position, k].
    """
    # The directions go through the projection first: they are mostly fewer than the stream is wide.
    folded = (directions @ rows.T).unflatten(-1, outputs.shape[1:])
    return torch.einsum("phd,khd->hpk", outputs, folded)


def head_terms(
    loaded: LoadedModel,
    parts: StreamParts,
    layer: int,
    directions: Tensor,
    positions: slice | Sequence[int] = slice(None),
    outputs: Tensor | None = None,
) -> Tensor:
    """What each head of a layer adds in some directions, the scales of all norms held fixed.

    Args:
        loaded: the model.
        parts: of one forward.
        layer: the layer.
        directions: `readout.token_directions` or their differences [k, width].
        positions: which positions.
        outputs: other head outputs [position, head, d_head] than those of `parts`, at the scales of `parts`.

    Returns:
        [head, position, k] in logits, float32 on the CPU.
    """
    device = directions.device
    here = parts.head_outputs[layer][positions].to(device)
    scale = final_scale(loaded, parts.final[positions].to(device))
    rows = projection_rows(loaded, layer)
    gain, own_scale = _attention_gain(loaded, layer, here, rows)
    used = here if outputs is None else outputs.to(device)
    terms = read_terms(used, rows, directions * gain)
    return (terms * (scale * own_scale)[:, None]).cpu()


def all_head_terms(
    loaded: LoadedModel,
    parts: StreamParts,
    directions: Tensor,
    positions: slice | Sequence[int] = slice(None),
    layers: slice = slice(None),
    columns: Tensor | None = None,
) -> Tensor:
    """`head_terms` of several layers at once, [layer, head, position, k], float32 on the CPU.

    Args:
        loaded: the model.
        parts: of one forward.
        directions: as in `head_terms`.
        positions: which positions.
        layers: which layers.
        columns: the direction of each of the k results, where some are asked for several times.
    """
    geometry, device = loaded.geometry, directions.device
    scale = final_scale(loaded, parts.final[positions].to(device))
    # MKL is quickest with the projection on the left and its columns a multiple of four.
    wide = pad(directions, (0, 0, 0, -len(directions) % 4))
    folded = wide.new_empty(geometry.n_heads * geometry.head_dim, len(wide))
    chosen = range(geometry.n_layers)[layers]
    # For each result its direction.
    picked = (torch.arange(len(directions)) if columns is None else columns).to(device)
    terms = wide.new_empty(len(chosen), geometry.n_heads, len(scale), len(picked))
    for found, layer in zip(terms, chosen, strict=True):
        outputs = parts.head_outputs[layer][positions].to(device)
        rows = projection_rows(loaded, layer)
        gain, own_scale = _attention_gain(loaded, layer, outputs, rows)
        torch.mm(rows, (wide * gain).T, out=folded)
        read = folded.index_select(1, picked)
        # [head, position, d_head] times [head, d_head, k]; the scale goes with the smaller factor.
        scaled = (outputs * (scale * own_scale)[:, None, None]).transpose(0, 1)
        torch.matmul(scaled, read.unflatten(0, (geometry.n_heads, geometry.head_dim)), out=found)
    return terms.cpu()


def _attention_gain(
    loaded: LoadedModel, layer: int, outputs: Tensor, rows: Tensor
) -> tuple[Tensor | float, Tensor | float]:
    """Weight [width] and scale [position] of the norm after a layer's attention; 1 and 1 without one."""
    norm = attention_norm(loaded, layer)
    if norm is None:
        return 1.0, 1.0
    written = outputs.flatten(1) @ rows
    bias = projection_bias(loaded, layer)
    stream = loaded.family.stream
    scale = norm_scale(norm, written if bias is None else written + bias, stream.centres)
    return norm_gain(norm, stream.gain_offset), scale


def head_vectors(loaded: LoadedModel, parts: StreamParts, layer: int, position: int) -> Tensor:
    """What each head of a layer adds to the residual stream at a position, [head, width], float32 on the CPU.

    In a model with a norm after the attention that norm is applied, its scale held fixed.
    """
    rows = projection_rows(loaded, layer)
    here = parts.head_outputs[layer][position].to(rows.device)
    gain, scale = _attention_gain(loaded, layer, here[None], rows)
    return ((here[:, None, :] @ rows.unflatten(0, here.shape))[:, 0] * gain * scale).cpu()


def bias_vector(loaded: LoadedModel, parts: StreamParts, layer: int, position: int) -> Tensor | None:
    """What the bias of a layer's output projection adds to the stream there, [width]; None without one."""
    bias = projection_bias(loaded, layer)
    if bias is None:
        return None
    rows = projection_rows(loaded, layer)
    here = parts.head_outputs[layer][position].to(rows.device)
    gain, scale = _attention_gain(loaded, layer, here[None], rows)
    return (bias * gain * (scale[0] if isinstance(scale, Tensor) else scale)).cpu()


def pair_direction(
    loaded: LoadedModel, target: int, against: int | None = None, centred: bool = False
) -> Tensor:
    """The direction [1, width] of a token's logit, or of its difference to another's.

    Args:
        loaded: the model.
        target: the token.
        against: the other token; None for none.
        centred: take the mean over the vocabulary off a single token's direction; a pair needs none.
    """
    if against is not None:
        one, other = token_directions(loaded, [target, against])
        return (one - other)[None]
    direction = token_directions(loaded, [target])
    return direction - mean_direction(loaded) if centred else direction


def check_position(parts: StreamParts, position: int) -> None:
    """Raise UserFacingError for a position that the text does not have."""
    if not 0 <= position < len(parts.final):
        raise UserFacingError(
            f"There is no token {position} in the prompt.",
            f"Choose a position from 0 to {len(parts.final) - 1}.",
        )


def check_tokens(loaded: LoadedModel, *tokens: int | None) -> None:
    """Raise UserFacingError for a token that the model cannot predict."""
    vocabulary: int = loaded.model.config.vocab_size
    for token in tokens:
        if token is not None and not 0 <= token < vocabulary:
            raise UserFacingError(
                f"Token {token} is not in the vocabulary of {loaded.name}.",
                f"Its tokens are numbered from 0 to {vocabulary - 1}.",
            )


def direct_effect(
    loaded: LoadedModel,
    parts: StreamParts,
    position: int,
    target: int,
    against: int | None = None,
    heads: Tensor | None = None,
) -> DirectEffect:
    """Take the logit of `target` (minus that of `against`) at a position apart.

    Args:
        loaded: the model.
        parts: what one forward wrote.
        position: whose next token is predicted.
        target: the token.
        against: the token to compare it with, None for the logit itself.
        heads: what the heads add [layer, head] where that is known already.

    Raises:
        UserFacingError: a position or a token that there is not.
    """
    check_position(parts, position)
    check_tokens(loaded, target, against)
    direction = pair_direction(loaded, target, against)
    scale = float(final_scale(loaded, parts.final[position]).double())
    if heads is None:
        heads = all_head_terms(loaded, parts, direction, [position])[:, :, 0, 0].double()
    along = direction[0].cpu().double()

    def term(vector: Tensor) -> float:
        return float(vector.double() @ along) * scale

    constants = token_constants(loaded, [target] if against is None else [target, against]).double()
    constant = float(constants[0] - (constants[1] if against is not None else 0.0))
    biases = [bias_vector(loaded, parts, layer, position) for layer in range(loaded.geometry.n_layers)]
    return DirectEffect(
        position=position,
        target=target,
        against=against,
        heads=heads,
        mlps=(torch.stack([mlp[position] for mlp in parts.mlps]).double() @ along) * scale,
        embedding=term(parts.embeddings[position]),
        bias=constant + sum(term(bias) for bias in biases if bias is not None),
        logit=term(parts.final[position]) + constant,
        capped=is_capped(loaded),
    )


def head_effects(
    loaded: LoadedModel, parts: StreamParts, head: Head, position: int, tokens: Sequence[int]
) -> Tensor:
    """What one head adds to the logits of some tokens at a position, centred over the vocabulary, [token].

    Centred: a head that raises every token alike raises none.
    """
    check_position(parts, position)
    check_tokens(loaded, *tokens)
    directions = token_directions(loaded, tokens) - mean_direction(loaded)
    return head_terms(loaded, parts, head.layer, directions, [position])[head.head, 0]


def own_token_effects(
    loaded: LoadedModel, parts: StreamParts, ids: Sequence[int], layers: slice = slice(None)
) -> Tensor:
    """How much each head raises, from each token on, the logit of each token of the text.

    What the output roles are scored by (`roles/role_score.py`): for a head that attends to a token, whether
    it makes that token more or less likely to come next.

    Args:
        loaded: the model.
        parts: of the forward of `ids`.
        ids: the text's tokens.
        layers: which layers.

    Returns:
        [layer, head, query, key], logits, centred over the vocabulary, float32 on the CPU.
    """
    # A token that repeats is read once.
    distinct, places = torch.tensor(list(ids)).unique(return_inverse=True)
    directions = token_directions(loaded, distinct.tolist()) - mean_direction(loaded)
    return all_head_terms(loaded, parts, directions, layers=layers, columns=places)
