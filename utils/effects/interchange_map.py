"""Every head alone takes over its values between two prompts: how much of the difference comes with it.

The batched pass of the effect map with the third ablation method (`forward/interchange.py`). Recovered =
(LD_patched - LD_corrupt) / (LD_clean - LD_corrupt), LD the logit difference of two tokens, clean on the
prompt and corrupt on the second one (docs/METHODS.md, section 4; Wang et al. 2022, Meng et al. 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from utils.effects.effect_map import effect_map, predict
from utils.errors import UserFacingError
from utils.forward.interchange import Interchange, check_lengths
from utils.forward.partial_forward import run_clean
from utils.heads import Head
from utils.models.loading import LoadedModel
from utils.runtime.jobs import Progress

WHAT = "swapping heads' values one by one"
# Which prompt is run: the second one with values of the first put in (what does this head bring back?), or
# the first one with values of the second (what is lost without them?), as interchange ablation does.
Into = Literal["second", "first"]
INTO: tuple[Into, ...] = get_args(Into)
# Prompts whose logit differences are nearer than this leave nothing to recover, in logits.
MIN_DIFFERENCE = 0.1


@dataclass(frozen=True, eq=False)
class InterchangeMap:
    """The logit difference with each head's values swapped alone; tensors are [layer, head], float64.

    Attributes:
        target: the token whose logit is asked for.
        other: the token that it is compared with.
        position: where the prediction is made, in both prompts.
        second: the second prompt's tokens.
        into: which prompt is run with values of the other.
        clean: the logit difference on the prompt.
        corrupt: the logit difference on the second prompt.
        patched: with this head's values swapped.
    """

    target: int
    other: int
    position: int
    second: tuple[int, ...]
    into: Into
    clean: float
    corrupt: float
    patched: Tensor

    @property
    def recovered(self) -> Tensor:
        """1 for the clean logit difference, 0 for the corrupt one; beyond them where a head overdoes it."""
        return recovered(self.patched, self.clean, self.corrupt)

    @property
    def carried(self) -> Tensor:
        """The share of the difference between the prompts that goes with the head, whichever is run."""
        return self.recovered if self.into == "second" else 1 - self.recovered

    def strongest(self, count: int = 5) -> list[Head]:
        """The heads that carry most, in either direction, the most first."""
        order = self.carried.abs().flatten().argsort(descending=True, stable=True)[:count]
        return [Head(*divmod(index, self.patched.shape[1])) for index in order.tolist()]


def recovered(patched: Tensor, clean: float, corrupt: float) -> Tensor:
    """The share of the logit difference that is recovered, [...].

    >>> import torch
    >>> recovered(torch.tensor([-1.0, 0.0, 3.0]), clean=3.0, corrupt=-1.0).tolist()
    [0.0, 0.25, 1.0]

    Args:
        patched: logit differences with values swapped [...].
        clean: on the prompt.
        corrupt: on the second prompt.
    """
    return (patched - corrupt) / (clean - corrupt)


def interchange_map(
    loaded: LoadedModel,
    ids: Sequence[int],
    second: Sequence[int],
    target: int | None = None,
    other: int | None = None,
    position: int | None = None,
    into: Into = "second",
    progress: Progress = lambda what, done, total: None,
) -> InterchangeMap:
    """Swap each head's values alone and measure the logit difference at one position.

    Args:
        loaded: the model.
        ids: tokens of the prompt, BOS included where the model has one.
        second: tokens of the second prompt, as many.
        target: the token to watch; by default the most likely one on the prompt.
        other: the token to compare it with; by default the most likely one on the second prompt, or where
            that is the target the most likely besides it on the prompt.
        position: where the prediction is made, from 0; by default after the last token.
        into: which prompt is run.
        progress: called after each batch how many heads are done; an exception from it ends the work.

    Raises:
        UserFacingError: as `effect_map`; prompts of unlike lengths, the same prompt twice, or two prompts
            whose logit differences hardly differ.
    """
    check_lengths(len(ids), len(second))
    if tuple(ids) == tuple(second):
        raise UserFacingError("Both prompts are the same.", "Change a word of the second one.")
    asked = predict(loaded, ids, target, other, position)
    corrupt_logits = run_clean(loaded, second, position).logits
    if other is None and int(corrupt_logits.argmax()) != asked.target:
        rival = int(corrupt_logits.argmax())
    else:
        rival = asked.other
    clean = float(asked.run.logits[asked.target].double() - asked.run.logits[rival].double())
    corrupt = float(corrupt_logits[asked.target].double() - corrupt_logits[rival].double())
    if abs(clean - corrupt) < MIN_DIFFERENCE:
        raise UserFacingError(
            f"The logit difference is {clean:.2f} on the prompt and {corrupt:.2f} on the second one, so "
            "there is nothing to recover.",
            "Choose a second prompt with another answer, or watch another pair of tokens.",
        )
    run, source = (second, ids) if into == "second" else (ids, second)
    found = effect_map(
        loaded,
        run,
        asked.target,
        rival,
        position,
        Interchange(tuple(source)),
        lambda what, done, total: progress(WHAT, done, total),
    )
    return InterchangeMap(
        target=asked.target,
        other=rival,
        position=found.position,
        second=tuple(second),
        into=into,
        clean=clean,
        corrupt=corrupt,
        patched=found.logit_difference,
    )
