"""What one browser's live page is about: its stores, parsed and looked up, for all parts of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypedDict

from dash import no_update, set_props
from torch import Tensor

from components import ids
from utils.effects.second_prompt import FITS, Fit
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMethod
from utils.forward.interchange import INTERCHANGE
from utils.heads import Head, parse_head
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService


class Request(TypedDict):
    """What one browser shows: the last prompt that could be analyzed, and on which model."""

    model: str
    prompt: str


def parse_heads(names: Any, analysis: LiveAnalysis | None = None) -> list[Head]:
    """Heads from a store, sorted; names that mean nothing, or no head of this model, are left out."""
    heads: list[Head] = []
    for name in names or ():
        try:
            head = parse_head(str(name))
        except UserFacingError:
            continue
        geometry = analysis.loaded.geometry if analysis else None
        if geometry and not (head.layer < geometry.n_layers and head.head < geometry.n_heads):
            continue
        if head not in heads:
            heads.append(head)
    return sorted(heads)


def find_analysis(
    service: LiveService, request: Request | None
) -> tuple[LiveAnalysis | None, UserFacingError | None]:
    """The analysis behind a request, or why there is none; neither for no request.

    A request that was good may fail later: its model's files may have broken since it was made.
    """
    if not request:
        return None, None
    try:
        return service.analyze(str(request.get("model")), str(request.get("prompt"))), None
    except UserFacingError as error:
        return None, error


@dataclass(frozen=True, eq=False)
class Shown:
    """What the parts of the page that compare clean with ablated are about.

    Attributes:
        analysis: the prompt on its model, all heads on.
        off: heads that are off, sorted.
        mode: how they are ablated.
        problem: why heads cannot be ablated as was asked (a second prompt of another length, say).
        position: the token after which the next one is predicted.
        target: id of the token that is watched, None for the most likely.
        against: id of the second token of the logit difference, None for the watched one's closest rival.
    """

    analysis: LiveAnalysis
    off: Sequence[Head]
    mode: AblationMethod
    position: int
    target: int | None
    against: int | None
    problem: UserFacingError | None = None

    @property
    def last(self) -> bool:
        """Whether the prediction after the last token is shown."""
        return self.position == len(self.analysis.prompt.ids) - 1

    def logits(self, service: LiveService, off: Sequence[Head]) -> Tensor:
        """Logits [vocab] of the chosen position with `off` switched off."""
        model, text = self.analysis.loaded.name, self.analysis.prompt.text
        return service.logits_at(model, text, self.position, off, self.mode)


# Where the page holds what `find_shown` takes, in its order.
SHOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "request": (ids.REQUEST, "data"),
        "off": (ids.ABLATED, "data"),
        "mode": (ids.MODE, "value"),
        "position": (ids.POSITION, "value"),
        "target": (ids.WATCH, "value"),
        "against": (ids.AGAINST, "value"),
        "second": (ids.SECOND, "value"),
        "fit": (ids.FIT, "value"),
    }
)


def find_shown(
    service: LiveService,
    request: Request | None,
    off: Any,
    mode: Any = None,
    position: Any = None,
    target: Any = None,
    against: Any = None,
    second: Any = None,
    fit: Any = None,
) -> Shown | None:
    """Parse what the browser holds; None where there is nothing to show. What makes no sense is left out.

    Args:
        service: the live entry point.
        request: what is shown.
        off: names of heads.
        mode: "zero", "mean" or "interchange".
        position: a token's number as a text; anything else for the last.
        target: text of the watched token.
        against: text of the second token.
        second: text of the second prompt, for an interchange.
        fit: how it is made as long as the prompt.
    """
    analysis, _ = find_analysis(service, request)
    if analysis is None:
        return None
    last = len(analysis.prompt.ids) - 1
    chosen = int(position) if str(position).isdecimal() else last
    method: AblationMethod = mode if mode in ABLATION_MODES else "zero"
    problem = None
    if mode == INTERCHANGE:
        chosen_fit: Fit = "as_is"
        for known in FITS:
            chosen_fit = known if known == fit else chosen_fit
        try:
            method = service.writing.interchange(
                analysis.loaded.name, analysis.prompt.text, str(second or ""), chosen_fit
            )
        except UserFacingError as error:
            problem = error
    return Shown(
        analysis,
        [] if problem else parse_heads(off, analysis),
        method,
        min(chosen, last),
        service.token(analysis.loaded, target),
        service.token(analysis.loaded, against),
        problem,
    )


def set_known(values: Mapping[str, tuple[str, Any]]) -> None:
    """Set properties from within a callback, without an edge in the browser's graph of callbacks.

    Args:
        values: by id, the property and its value; `no_update` is left alone.
    """
    for component, (name, value) in values.items():
        if value is not no_update:
            set_props(component, {name: value})
