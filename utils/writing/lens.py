"""The logit lens: what the output layer would say if the model ended after each layer.

nostalgebraist 2020. Nothing is trained for it (no tuned lens): the stream after a layer goes through the
final norm, with its own scale there, and the output layer. In early layers that says little.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.forward.stream_capture import StreamParts
from utils.models.loading import LoadedModel
from utils.writing.attribution import bias_vector, check_position, check_tokens, head_vectors
from utils.writing.readout import all_constants, all_logits, final_scale


@dataclass(frozen=True)
class LensLayer:
    """What the output layer says of the stream at one depth.

    Attributes:
        depth: how many layers are behind it; 0 is the embeddings, the last is the prediction itself.
        favourite: the most likely token there.
        favourite_probability: its probability (before any cap of the logits).
        probability: of the target.
        rank: of the target, 1 for the most likely.
        logit: the target's, minus that of `against` where one was given.
    """

    depth: int
    favourite: int
    favourite_probability: float
    probability: float
    rank: int
    logit: float


@dataclass(frozen=True)
class LogitLens:
    """The lens along the layers at one position.

    Attributes:
        position: whose next token is predicted.
        target: the token that is followed.
        against: the token that it is compared with, None for none.
        layers: one more than the model has layers.
    """

    position: int
    target: int
    against: int | None
    layers: tuple[LensLayer, ...]

    @property
    def first_favourite(self) -> int | None:
        """The depth at which the target first is the favourite; None where it never is."""
        return next((layer.depth for layer in self.layers if layer.favourite == self.target), None)

    @property
    def settled(self) -> int | None:
        """The depth from which on the target stays the favourite to the end; None where it is not at last."""
        settled = None
        for layer in reversed(self.layers):
            if layer.favourite != self.target:
                break
            settled = layer.depth
        return settled


def streams_along(loaded: LoadedModel, parts: StreamParts, position: int) -> Tensor:
    """The residual stream at a position before the first layer and after each, [depth, width]."""
    stream = parts.embeddings[position].clone()
    found = [stream]
    for layer in range(loaded.geometry.n_layers):
        written = head_vectors(loaded, parts, layer, position).sum(0) + parts.mlps[layer][position]
        bias = bias_vector(loaded, parts, layer, position)
        stream = stream + written if bias is None else stream + written + bias
        found.append(stream)
    return torch.stack(found)


def logit_lens(
    loaded: LoadedModel, parts: StreamParts, position: int, target: int, against: int | None = None
) -> LogitLens:
    """Follow a token along the layers at a position.

    Raises:
        UserFacingError: a position or a token that there is not.
    """
    check_position(parts, position)
    check_tokens(loaded, target, against)
    streams = streams_along(loaded, parts, position)
    logits = all_logits(loaded, streams).cpu() * final_scale(loaded, streams)[:, None]
    constants = all_constants(loaded)
    logits = logits + (constants.cpu() if isinstance(constants, Tensor) else constants)
    probabilities = logits.double().softmax(-1)
    layers = []
    for depth, (row, chances) in enumerate(zip(logits, probabilities, strict=True)):
        favourite = int(row.argmax())
        layers.append(
            LensLayer(
                depth=depth,
                favourite=favourite,
                favourite_probability=float(chances[favourite]),
                probability=float(chances[target]),
                rank=1 + int((row > row[target]).sum()),
                logit=float(row[target] - (row[against] if against is not None else 0.0)),
            )
        )
    return LogitLens(position, target, against, tuple(layers))
