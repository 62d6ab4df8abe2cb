"""What several pages ask of one model at the same time, as one forward (`forward/joined_forwards.py`)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from utils.forward.ablation import AblationMethod
from utils.forward.attention_capture import Capture
from utils.forward.interchange import Interchange
from utils.forward.joined_forwards import (
    ForwardSize,
    can_be_joined,
    capture_together,
    choose_rows,
    next_logits_together,
)
from utils.forward.partial_forward import CleanRun, next_logits
from utils.heads import Head
from utils.live.analysis import PromptRun
from utils.models.loading import LoadedModel


@dataclass(frozen=True, eq=False)
class Toggle:
    """A prediction with heads ablated that is asked for.

    Attributes:
        loaded: the model.
        clean: its clean run on the text.
        off: the heads.
        mode: what is put in their place.
    """

    loaded: LoadedModel
    clean: CleanRun
    off: frozenset[Head]
    mode: AblationMethod

    @property
    def size(self) -> ForwardSize:
        """What its forward costs: it begins at the lowest head."""
        layers = self.loaded.geometry.n_layers - min(head.layer for head in self.off)
        return ForwardSize(self.clean.ids.shape[1], layers)


def run_prompts(runs: Sequence[PromptRun]) -> list[Capture]:
    """The forwards of some prompts on one model, all heads on."""
    first = runs[0]
    return capture_together(first.loaded, [run.prompt.ids for run in runs], first.is_sum)


def choose_toggles(toggles: Sequence[Toggle]) -> list[int]:
    """Which toggles go with the first: of the same mode, where it is faster.

    A second prompt's values belong to one text, so an interchange always goes alone.
    """
    first = toggles[0]
    if isinstance(first.mode, Interchange) or not can_be_joined(first.clean):
        return [0]
    alike = [place for place, toggle in enumerate(toggles) if toggle.mode == first.mode]
    return [alike[place] for place in choose_rows([toggles[place].size for place in alike])]


def run_toggles(toggles: Sequence[Toggle]) -> list[Tensor]:
    """Logits [vocab] of some toggles on one model, as `choose_toggles` has put them together."""
    first = toggles[0]
    if isinstance(first.mode, Interchange) or not can_be_joined(first.clean):
        return [next_logits(first.loaded, first.clean, [first.off], first.mode)[0].clone()]
    runs = [toggle.clean for toggle in toggles]
    return next_logits_together(first.loaded, runs, [toggle.off for toggle in toggles], first.mode)
