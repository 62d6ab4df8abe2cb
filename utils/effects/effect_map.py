"""Every head ablated alone: what it does to one prediction, as a grid of layers by heads.

One clean forward, then batched forwards that begin at the layer of their first head (`partial_forward`); the
numbers are those of one ablation after the other, and can be read as they come. Not necessary is not the same
as unused: another head may step in for the one that is off (backup heads), and zero is nothing that the model
is used to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.effects.ablated_batches import ablated_logits
from utils.effects.measures import MEASURES, MeasureKey, Values, rival_of, values
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, check_mode
from utils.forward.partial_forward import CleanRun, run_clean
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress

WHAT = "ablating heads one by one"


@dataclass(frozen=True, eq=False)
class EffectMap:
    """The prediction at one position with each head ablated alone; tensors are [layer, head], float64.

    Attributes:
        target: the token whose probability is asked for.
        other: the token that it is compared with in the logit difference.
        position: where the prediction is made: that of the token after this one.
        mode: what was put in the heads' place.
        clean_probability: of the target with all heads on.
        clean_log_probability: its natural logarithm.
        clean_logit_difference: the target's logit minus the other token's, all heads on.
        probability: of the target with this head ablated.
        log_probability: its natural logarithm.
        logit_difference: the target's logit minus the other token's with this head ablated.
        kl: KL(clean || this head ablated), nats.
    """

    target: int
    other: int
    position: int
    mode: AblationMethod
    clean_probability: float
    clean_log_probability: float
    clean_logit_difference: float
    probability: Tensor
    log_probability: Tensor
    logit_difference: Tensor
    kl: Tensor

    def change(self, measure: MeasureKey) -> Tensor:
        """The effect [layer, head]: with the head ablated minus clean; for "kl" the divergence itself."""
        if measure == "kl":
            return self.kl
        changes = {
            "probability": self.probability - self.clean_probability,
            "log_probability": self.log_probability - self.clean_log_probability,
            "logit_difference": self.logit_difference - self.clean_logit_difference,
        }
        return changes[measure]

    def strongest(self, measure: MeasureKey, count: int = 5) -> list[Head]:
        """The measured heads with the largest effects in either direction, the largest first."""
        change = self.change(measure)
        sizes = change.abs().flatten()
        measured = int((~sizes.isnan()).sum())
        # NaN, a head that is still to come, goes last.
        positions = sizes.nan_to_num(nan=-1).argsort(descending=True, stable=True)[: min(count, measured)]
        return [Head(*divmod(index, change.shape[1])) for index in positions.tolist()]


@dataclass(frozen=True, eq=False)
class EffectMapProgress:
    """An effect map as far as it has come; batches go from the first layer up.

    Attributes:
        effects: the map, NaN where a head is still to come.
        measured: which heads are there, boolean [layer, head].
    """

    effects: EffectMap
    measured: Tensor

    @property
    def finished_layers(self) -> tuple[int, ...]:
        """The layers whose heads are all there, ascending."""
        return tuple(self.measured.all(dim=1).nonzero().flatten().tolist())


@dataclass(frozen=True, eq=False)
class Prediction:
    """The clean prediction whose change is asked for.

    Attributes:
        run: the clean run.
        target: the chosen token.
        other: the one that it is compared with.
        clean: its measures, one entry each.
    """

    run: CleanRun
    target: int
    other: int
    clean: Values


def predict(
    loaded: LoadedModel, ids: Sequence[int], target: int | None, other: int | None, position: int | None
) -> Prediction:
    """Run the clean prediction and fill in what was not chosen; arguments as in `effect_map`."""
    for token in (target, other):
        check_token(loaded, token)
    run = run_clean(loaded, ids, position)
    chosen = int(run.logits.argmax()) if target is None else target
    rival = rival_of(run.logits, chosen) if other is None else other
    return Prediction(run, chosen, rival, values(run.logits, run.logits[None], chosen, rival))


def check_token(loaded: LoadedModel, token: int | None) -> None:
    """Raise UserFacingError for a token that the model cannot predict."""
    vocabulary: int = loaded.model.config.vocab_size
    if token is not None and not 0 <= token < vocabulary:
        raise UserFacingError(
            f"Token {token} is not in the vocabulary of {loaded.name}.",
            f"Its tokens are numbered from 0 to {vocabulary - 1}.",
        )


def effect_map(
    loaded: LoadedModel,
    ids: Sequence[int],
    target: int | None = None,
    other: int | None = None,
    position: int | None = None,
    mode: AblationMethod = "zero",
    progress: Progress = lambda what, done, total: None,
    publish: Callable[[EffectMapProgress], None] = lambda so_far: None,
) -> EffectMap:
    """Ablate every head alone and measure the prediction at one position.

    Args:
        loaded: the model.
        ids: tokens of the prompt, BOS included where the model has one.
        target: the token to watch; by default the most likely one with all heads on.
        other: the token to compare it with; by default the most likely besides the target.
        position: where the prediction is made, from 0; by default after the last token.
        mode: what is put in a head's place.
        progress: called after each batch how many heads are done; an exception from it ends the work.
        publish: called after each batch with the map so far, which stays as it is from then on.

    Raises:
        UserFacingError: tokens that the model cannot run, a position outside the prompt, a target outside
            the vocabulary, or no such mode.
    """
    check_mode(mode)
    asked = predict(loaded, ids, target, other, position)
    geometry = loaded.geometry
    shape = (geometry.n_layers, geometry.n_heads)
    sets = [[Head(layer, head)] for layer in range(shape[0]) for head in range(shape[1])]
    found: dict[MeasureKey, Tensor] = {
        measure: torch.full(shape, torch.nan, dtype=torch.float64) for measure in MEASURES
    }

    def so_far() -> EffectMap:
        return EffectMap(
            target=asked.target,
            other=asked.other,
            position=asked.run.position,
            mode=mode,
            clean_probability=float(asked.clean.probability),
            clean_log_probability=float(asked.clean.log_probability),
            clean_logit_difference=float(asked.clean.logit_difference),
            probability=found["probability"].clone(),
            log_probability=found["log_probability"].clone(),
            logit_difference=found["logit_difference"].clone(),
            kl=found["kl"].clone(),
        )

    for positions, logits in ablated_logits(loaded, asked.run, sets, mode, progress, WHAT):
        part = values(asked.run.logits, logits, asked.target, asked.other)
        for measure, tensor in found.items():
            tensor.view(-1)[positions] = part[measure]
        publish(EffectMapProgress(so_far(), ~found["kl"].isnan()))
    return so_far()
