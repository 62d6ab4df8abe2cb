"""What the map of all heads can be coloured by: one row a view; menu, links and legend follow from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from utils.effects.effect_map import EffectMap
from utils.effects.estimate import EffectEstimate
from utils.effects.interchange_map import InterchangeMap
from utils.effects.measures import MEASURES, MeasureKey
from utils.live.analysis import LiveAnalysis
from utils.roles.registry import ROLES, measured_roles
from utils.writing.attribution import DirectEffect

DECIMALS = 3


@dataclass(frozen=True, eq=False)
class MapSource:
    """What a view may read its values from.

    Attributes:
        analysis: the prompt on its model, all heads on.
        effects: the effect of ablating each head alone, None while it is not known. Heads that have not been
            computed yet are NaN in it.
        measure: what of the effects is shown.
        estimate: a first-order estimate of the effects, which stands where they are not known yet.
        direct: what each head itself adds to the watched token's logit, None where that cannot be said.
        swapped: what each head's values on the second prompt do, None while that is not known.
    """

    analysis: LiveAnalysis
    effects: EffectMap | None = None
    measure: MeasureKey = "probability"
    estimate: EffectEstimate | None = None
    direct: DirectEffect | None = None
    swapped: InterchangeMap | None = None

    def estimated(self) -> Tensor | None:
        """Which heads' effects are estimates so far [layer, head]; None where none is."""
        if self.estimate is None or self.measure not in self.estimate.changes:
            return None
        guess = self.estimate.change(self.measure)
        missing = torch.ones_like(guess, dtype=torch.bool)
        if self.effects is not None:
            missing = self.effects.change(self.measure).isnan()
        return missing if bool(missing.any()) else None


@dataclass(frozen=True)
class MapView:
    """One way to colour the map.

    Attributes:
        key: its name in links.
        title: what the menu calls it.
        description: what a cell's colour says, in one sentence.
        values: the value of each head [layer, head]; None where there is none yet. A view without it shows
            the roles, as the cells are drawn.
        scale: "share" from 0 to 1, "signed" around 0, "positive" from 0 to the largest.
        needs: what has to be computed for it besides the analysis: "", "direct" (at once), "effects" or
            "interchange" (a while).
        unit: of its values, "" for shares and where the measure says it.
    """

    key: str
    title: str
    description: str
    values: Callable[[MapSource], Tensor | None] | None
    scale: Literal["share", "signed", "positive"] = "share"
    needs: Literal["", "direct", "effects", "interchange"] = ""
    unit: str = ""


def _live_score(role: str) -> Callable[[MapSource], Tensor | None]:
    def values(source: MapSource) -> Tensor | None:
        scores = source.analysis.scores
        return scores.live[role] if scores.target(role).applicable else None

    return values


def _sink(source: MapSource) -> Tensor | None:
    catalog = source.analysis.catalog
    table = catalog.sink_share if catalog else None
    return None if table is None else torch.tensor(table)


def _effect(source: MapSource) -> Tensor | None:
    exact = None if source.effects is None else source.effects.change(source.measure)
    missing = source.estimated()
    if missing is None or source.estimate is None:
        return exact
    guess = source.estimate.change(source.measure)
    return guess if exact is None else torch.where(missing, guess, exact)


def _direct(source: MapSource) -> Tensor | None:
    return None if source.direct is None else source.direct.heads


def _recovered(source: MapSource) -> Tensor | None:
    return None if source.swapped is None else source.swapped.recovered


MAP_VIEWS: dict[str, MapView] = {
    view.key: view
    for view in (
        MapView("role", "Role", "Hue, letter: role. Strength: how much it does it here.", None),
        *(
            MapView(
                f"live-{role}",
                f"Live score: {ROLES[role].display_name}",
                "How much each head does this on your text, whatever its role.",
                _live_score(role),
            )
            for role in measured_roles()
        ),
        MapView(
            "sink",
            "Attention sink",
            "How much of its attention each head rests on the first token, on plain sentences.",
            _sink,
        ),
        MapView(
            "effect",
            "Ablation effect",
            "What ablating each head alone does to the watched token.",
            _effect,
            scale="signed",
            needs="effects",
        ),
        MapView(
            "direct",
            "Direct effect",
            "What each head itself adds to the watched token's logit, against its rival.",
            _direct,
            scale="signed",
            needs="direct",
            unit="logits",
        ),
        MapView(
            "recovered",
            "Interchange: recovered",
            "How much of the logit difference each head's values from the prompt bring back on the "
            "second one.",
            _recovered,
            scale="signed",
            needs="interchange",
            unit="of the difference",
        ),
    )
}
DEFAULT_MAP_VIEW = next(iter(MAP_VIEWS))


def map_view(key: str | None) -> MapView:
    """The view of a key, the first one for anything else."""
    return MAP_VIEWS.get(str(key), MAP_VIEWS[DEFAULT_MAP_VIEW])


def map_values(view: MapView, source: MapSource) -> dict[str, Any] | None:
    """The values of a view as plain data for the browser, which colours the cells by them.

    Args:
        view: the view.
        source: what it reads.

    Returns:
        {"title", "scale", "unit", "largest", "values": [layer][head], None where not known yet, and where
        some are estimates "estimated": [layer][head]}; None for a view of the roles, or where the model or
        the prompt has no such values.
    """
    values = view.values(source) if view.values is not None else None
    if values is None:
        return None
    unit, scale = view.unit, view.scale
    if view.needs == "effects":
        unit = MEASURES[source.measure].label
        if source.measure == "probability":
            values, unit = values * 100, "percentage points"
        if source.measure == "kl":
            scale = "positive"
    known = values[~values.isnan()].abs()
    largest = 1.0 if scale == "share" else max(float(known.max()) if len(known) else 0.0, 1e-9)
    rows = [[None if value != value else round(value, DECIMALS) for value in row] for row in values.tolist()]
    drawn = {"title": view.title, "scale": scale, "unit": unit, "largest": largest, "values": rows}
    estimated = source.estimated() if view.needs == "effects" else None
    return drawn if estimated is None else {**drawn, "estimated": estimated.tolist()}
