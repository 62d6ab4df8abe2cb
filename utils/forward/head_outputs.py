"""Every head's output on a text, collected by PyVene: what is put in a head's place comes from here."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from utils.forward.pyvene_adapter import COMPONENT, OwnHooksIntervenable, pv
from utils.models.loading import LoadedModel


def head_outputs(loaded: LoadedModel, ids: Sequence[int]) -> Tensor:
    """The heads' outputs before the output projection on one text, [layer, head, position, d_head].

    Args:
        loaded: the model; its lock is held.
        ids: the tokens.

    Returns:
        An ordinary tensor in the model's own type and on its device.
    """
    geometry = loaded.geometry
    config = [
        # Without keep_last_dim PyVene lays the heads side by side in one dimension.
        {
            "layer": layer,
            "component": COMPONENT,
            "unit": "h",
            "intervention": pv.CollectIntervention(keep_last_dim=True),
        }
        for layer in range(geometry.n_layers)
    ]
    locations = [[list(range(geometry.n_heads))]] * geometry.n_layers
    with loaded.lock, torch.inference_mode():
        inputs = {"input_ids": torch.tensor([list(ids)], device=loaded.model.device)}
        wrapper: Any = OwnHooksIntervenable(config, loaded.model)
        (_, collected), _ = wrapper(inputs, unit_locations={"sources->base": (None, locations)})
    # Outside inference mode this makes an ordinary tensor, also for a caller that is in it.
    with torch.inference_mode(False):
        return torch.cat([layer.clone() for layer in collected])
