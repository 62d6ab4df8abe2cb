"""What a model's heads write on a text, in the form that the output roles are scored by."""

from collections.abc import Sequence

from torch import Tensor

from utils.forward.attention_capture import Capture
from utils.models.loading import LoadedModel
from utils.roles.written import Written
from utils.writing.attribution import own_token_effects


def written_on(loaded: LoadedModel, ids: Sequence[int], captured: Capture) -> Written | None:
    """The effects of all heads on the tokens of a text, worked out a layer at a time when they are asked for.

    Args:
        loaded: the model.
        ids: the text's tokens.
        captured: its forward.

    Returns:
        None where the forward did not record the residual stream.
    """
    parts = captured.stream
    if parts is None:
        return None

    def effects(layer: int) -> Tensor:
        return own_token_effects(loaded, parts, layer, ids)

    return Written(effects, int(captured.logits[-1].argmax()))
