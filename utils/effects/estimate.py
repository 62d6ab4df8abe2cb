"""An estimate of every head's ablation effect from one forward and one backward (attribution patching).

Nanda 2023, Attribution Patching; Syed et al. 2023. To first order, putting other values z' in a head's place
changes a measure m by (z' - z) . dm/dz, summed over positions. The gradients of all heads come from one
backward, so that an estimate is there before the exact map is. It is one: where a softmax or a norm saturates
it may be far off, and the rank correlation with the exact map says how far.
"""

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from utils.effects.effect_map import EffectMap, check_token
from utils.effects.measures import MeasureKey, rival_of
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, check_mode, replacements
from utils.forward.attention_capture import check_ids
from utils.forward.interchange import Interchange, check_lengths
from utils.forward.layer_replay import decoder_layer
from utils.heads import Head
from utils.models.loading import LoadedModel

# KL(clean || ablated) is 0 with all heads on, and as flat there as it gets: it has no first order.
ESTIMATED: tuple[MeasureKey, ...] = ("probability", "log_probability", "logit_difference")


@dataclass(frozen=True, eq=False)
class EffectEstimate:
    """A first-order estimate of an effect map.

    Attributes:
        target: the token whose probability is asked for.
        other: the token that it is compared with in the logit difference.
        position: where the prediction is made.
        mode: what would be put in the heads' place.
        changes: {measure: [layer, head]}, with the head ablated minus clean, float64.
    """

    target: int
    other: int
    position: int
    mode: AblationMethod
    changes: dict[MeasureKey, Tensor]

    def change(self, measure: MeasureKey) -> Tensor:
        """The estimated effect [layer, head].

        Raises:
            UserFacingError: the measure has no first order.
        """
        if measure not in self.changes:
            raise UserFacingError(
                "The divergence of the whole prediction is flat where all heads are on: it has no estimate.",
                f"Choose one of: {', '.join(ESTIMATED)}.",
            )
        return self.changes[measure]


@contextlib.contextmanager
def _gradients(loaded: LoadedModel, outputs: list[Tensor]) -> Any:
    """Let the forward within the block record a graph from the embeddings on; collect the heads' outputs."""

    def begin(module: nn.Module, args: Any, kwargs: Any) -> Any:
        if args:
            return (args[0].detach().requires_grad_(True), *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": kwargs["hidden_states"].detach().requires_grad_(True)}

    with loaded.lock, contextlib.ExitStack() as hooks, torch.enable_grad():
        first = decoder_layer(loaded, 0)
        hooks.callback(first.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for layer in range(loaded.geometry.n_layers):
            projection = loaded.output_projection(layer)

            def keep(module: nn.Module, args: Any) -> None:
                outputs.append(args[0])

            hooks.callback(projection.register_forward_pre_hook(keep).remove)
        yield


def estimate_effects(
    loaded: LoadedModel,
    ids: Sequence[int],
    target: int | None = None,
    other: int | None = None,
    position: int | None = None,
    mode: AblationMethod = "zero",
) -> EffectEstimate:
    """Estimate what ablating each head alone does to the prediction at one position.

    Args:
        loaded: the model; its lock is held.
        ids: tokens of the prompt, BOS included where the model has one.
        target: the token to watch; by default the most likely one.
        other: the token to compare it with; by default the most likely besides the target.
        position: where the prediction is made, from 0; by default after the last token.
        mode: what is put in a head's place.

    Raises:
        UserFacingError: as `effect_map.effect_map`.
    """
    check_mode(mode)
    check_ids(loaded, ids)
    for token in (target, other):
        check_token(loaded, token)
    where = len(ids) - 1 if position is None else position
    if not 0 <= where < len(ids):
        raise UserFacingError(
            f"There is no token {where} in the prompt.", f"Choose a position from 0 to {len(ids) - 1}."
        )
    if isinstance(mode, Interchange):
        check_lengths(len(ids), len(mode.ids))
    values = replacements(loaded, mode)
    outputs: list[Tensor] = []
    with torch.inference_mode(False), _gradients(loaded, outputs):
        rows = torch.tensor([list(ids)], device=loaded.model.device)
        logits = loaded.model(rows, use_cache=False).logits[0, where].float()
        chosen = int(logits.argmax()) if target is None else target
        rival = rival_of(logits.detach(), chosen) if other is None else other
        log_probability = logits.log_softmax(-1)[chosen]
        by_measure: dict[MeasureKey, Tensor] = {
            "log_probability": log_probability,
            "logit_difference": logits[chosen] - logits[rival],
        }
        changes: dict[MeasureKey, Tensor] = {}
        for number, (measure, value) in enumerate(by_measure.items(), start=1):
            gradients = torch.autograd.grad(value, outputs, retain_graph=number < len(by_measure))
            changes[measure] = _first_order(loaded, outputs, gradients, values)
    changes["probability"] = changes["log_probability"] * float(log_probability.detach().exp())
    return EffectEstimate(chosen, rival, where, mode, changes)


def _first_order(
    loaded: LoadedModel, outputs: Sequence[Tensor], gradients: Sequence[Tensor], values: Tensor | None
) -> Tensor:
    """(z' - z) . dm/dz of every head, [layer, head], float64 on the CPU."""
    shape = (loaded.geometry.n_heads, loaded.geometry.head_dim)
    rows = []
    for layer, (output, gradient) in enumerate(zip(outputs, gradients, strict=True)):
        own = output.detach()[0].unflatten(-1, shape).double()  # [position, head, d_head]
        step = -own
        if values is not None:
            put = values[layer].double()
            step = (put[None] if values.dim() == 3 else put.transpose(0, 1)) - own
        rows.append((step * gradient[0].unflatten(-1, shape).double()).sum((0, 2)))
    return torch.stack(rows).cpu()


def rank_correlation(
    estimate: EffectEstimate, exact: EffectMap, measure: MeasureKey, heads: Collection[Head] | None = None
) -> float | None:
    """Spearman's rank correlation of the estimate with the exact map.

    Args:
        estimate: the estimate.
        exact: the exact map of the same prediction.
        measure: which effect.
        heads: those that are known exactly, None for all.

    Returns:
        From -1 to 1; None for fewer than 3 heads, or where one side is all alike.

    Raises:
        UserFacingError: the measure has no first order, or the two are of different predictions.
    """
    asked = (estimate.target, estimate.other, estimate.position, estimate.mode)
    if asked != (exact.target, exact.other, exact.position, exact.mode):
        raise UserFacingError(
            "The estimate and the effect map are of different predictions.", "Compute both again."
        )
    return correlate(estimate.change(measure), exact.change(measure), heads)


def correlate(one: Tensor, other: Tensor, heads: Collection[Head] | None = None) -> float | None:
    """Spearman's rank correlation of two tables [layer, head], over some heads or all; None as above.

    >>> correlate(torch.tensor([[1.0, 2.0], [3.0, 9.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    1.0
    """
    pairs = (
        (one.flatten(), other.flatten())
        if heads is None
        else (torch.stack([one[head] for head in heads]), torch.stack([other[head] for head in heads]))
        if heads
        else (one.new_zeros(0), other.new_zeros(0))
    )
    if len(pairs[0]) < 3 or any(bool((values == values[0]).all()) for values in pairs):
        return None
    first, second = (values.double().numpy() for values in pairs)
    # It takes a second to load: nobody who looks at no map should wait for it.
    from scipy.stats import spearmanr

    found: Any = spearmanr(first, second)
    return float(found.statistic)
