"""What a model's heads write on a text, in the form that the output roles are scored by."""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.forward.attention_capture import Capture
from utils.forward.stream_capture import StreamParts
from utils.models.loading import LoadedModel
from utils.roles.written import Written
from utils.writing.attribution import own_token_effects


class WrittenOn:
    """The effects of all heads on the tokens of a text, worked out when they are asked for.

    The two most likely tokens after the last one are asked for along with the text's own: the page shows that
    pair first, and to ask for more tokens costs next to nothing once the weights are read.

    Args:
        loaded: the model.
        ids: the text's tokens.
        parts: what its forward wrote.
        logits: of the last position [vocab].

    Attributes:
        favourites: the two most likely tokens after the last one.
        written: what the output roles are scored by.
    """

    def __init__(self, loaded: LoadedModel, ids: Sequence[int], parts: StreamParts, logits: Tensor) -> None:
        self._loaded, self._ids, self._parts = loaded, tuple(ids), parts
        first, second = logits.topk(2).indices.tolist()
        self.favourites: tuple[int, int] = (first, second)
        self.written = Written(self._effects, first)
        self._pairs: dict[int, Tensor] = {}

    def _effects(self, layers: slice) -> Tensor:
        found = own_token_effects(self._loaded, self._parts, (*self._ids, *self.favourites), layers)
        for number, layer in enumerate(range(self._loaded.geometry.n_layers)[layers]):
            self._pairs[layer] = found[number, :, -1, -2] - found[number, :, -1, -1]
        return found[..., : len(self._ids)]

    @property
    def favourite_effect(self) -> Tensor | None:
        """Each head's direct effect on the two favourites after the last token, [layer, head], float64.

        None until the effects of all layers were asked for.
        """
        layers = range(self._loaded.geometry.n_layers)
        if any(layer not in self._pairs for layer in layers):
            return None
        return torch.stack([self._pairs[layer] for layer in layers]).double()


def written_on(loaded: LoadedModel, ids: Sequence[int], captured: Capture) -> Written | None:
    """What the output roles are scored by on a text; None where the forward did not record the stream."""
    if captured.stream is None:
        return None
    return WrittenOn(loaded, ids, captured.stream, captured.logits[-1]).written
