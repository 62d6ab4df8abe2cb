"""Presets computed before a class begins, so that opening one needs no forward pass.

For each preset and model: the live analysis, the prediction with its heads ablated, and how that prediction
fares with 100 random sets of as many heads of the same layers. For the presets that come with HeadScope that
takes one to two seconds, for those of a class on large models longer, so it runs in a thread after the start
(`jobs.Jobs`); a preset that is opened before its turn is computed then.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from utils.catalog.catalog import Catalog
from utils.effects.random_sets import MAX_DRAWS, MIN_DISTINCT, RandomComparison, compare_with_random
from utils.errors import UserFacingError
from utils.live.service import LiveService
from utils.models.prompts import token_label, token_of_text
from utils.runtime.jobs import Progress
from utils.teaching.presets import OpenPreset, Preset, PresetSet, choose_model, open_preset

logger = logging.getLogger(__name__)

WHAT = "preparing the presets"
# The views that show all positions.
_ALL_POSITIONS = ("positions",)


@dataclass(frozen=True)
class PresetEffect:
    """What ablating a preset's heads does to its token, beside random sets of as many heads.

    Attributes:
        comparison: the numbers; `contrasts["probability"]` has the distribution.
        label: how the token is shown.
        heads: the heads in words, "the first 4 induction heads".
    """

    comparison: RandomComparison
    label: str
    heads: str

    @property
    def clean(self) -> float:
        """The token's probability with all heads on."""
        return self.comparison.clean_probability

    @property
    def ablated(self) -> float:
        """The token's probability with the heads ablated."""
        return self.clean + self.comparison.contrasts["probability"].tested

    @property
    def random(self) -> tuple[float, ...]:
        """The token's probability with each random set off."""
        return tuple(self.clean + draw for draw in self.comparison.contrasts["probability"].draws)

    @property
    def median(self) -> float:
        """The middle of `random`."""
        return self.clean + self.comparison.contrasts["probability"].median

    @property
    def different_sets(self) -> int:
        """How many of the random sets differ from each other: few where little is left to choose from."""
        return self.comparison.random.distinct

    @property
    def sentence(self) -> str:
        """All of it in plain words."""
        token = self.label.strip("·")
        message = f"Without {self.heads} “{token}” goes from {self.clean:.0%} to {self.ablated:.0%}."
        count = len(self.comparison.heads)
        several = f"{count} other heads" if count > 1 else "another head"
        where = (
            "the same layer" if len({head.layer for head in self.comparison.heads}) == 1 else "their layers"
        )
        if self.comparison.random.moved:
            where += " and the next ones"
        if self.different_sets == 1:
            only = f"Without {several} of {where} (there is only one such set) it is {self.median:.0%}."
            return f"{message} {only}"
        low, high = min(self.random), max(self.random)
        if self.different_sets < MIN_DISTINCT:
            return (
                f"{message} Without {several} of {where} ({self.different_sets} different sets, chosen by "
                f"chance) it is between {low:.0%} and {high:.0%}."
            )
        return (
            f"{message} Without {several} of {where}, chosen by chance {len(self.random)} times, it is "
            f"{self.median:.0%} in the middle (from {low:.0%} to {high:.0%})."
        )


class PreparedPresets:
    """The presets of an app, and what was computed for them.

    Args:
        presets: all that were read.
        service: the live entry point; what a preset shows stays in its caches.
        models: the models on which presets are prepared, where they are made for them or for any: those that
            are here for certain, not those that would have to be fetched first.
        also: called for each preset and model that is prepared, to compute what else its view shows.
    """

    def __init__(
        self,
        presets: PresetSet,
        service: LiveService,
        models: Sequence[str],
        also: Callable[[OpenPreset], None] = lambda opened: None,
    ) -> None:
        self.presets = presets
        self.service = service
        self.models = tuple(models)
        self.also = also
        self._effects: dict[tuple[str, str], tuple[Catalog | None, PresetEffect | None]] = {}
        self._problems: dict[tuple[str, str], str] = {}
        self._guard = threading.Lock()

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence for each preset that cannot be shown as it is written, so far."""
        with self._guard:
            return tuple(dict.fromkeys(self._problems.values()))

    def is_ready(self, key: str, model: str) -> bool:
        """Whether opening this preset on this model needs no forward."""
        with self._guard:
            return (key, model) in self._effects

    def prepare(self, progress: Progress = lambda what, done, total: None) -> None:
        """Compute everything that the presets show; for `jobs.Jobs`.

        A preset that cannot be computed is named in `problems`, the others go on.
        """
        work = [
            (preset, model)
            for preset in self.presets.presets
            for model in self.models
            if not preset.model or model in preset.model
        ]
        for done, (preset, model) in enumerate(work):
            progress(WHAT, done, len(work))
            try:
                opened = self._open(preset, model)
                self.effect(opened)
                problem = " ".join(opened.problems)
            except UserFacingError as error:
                problem = str(error)
            if problem:
                logger.warning("preset %s on %s: %s", preset.key, model, problem)
                with self._guard:
                    self._problems[preset.key, model] = f"Preset {preset.key} on {model}: {problem}"
        progress(WHAT, len(work), len(work))

    def open(self, key: str, shown: str | None, models: Sequence[str] | None = None) -> OpenPreset:
        """What the page shows for a preset; needs no forward, and loads no model.

        Args:
            key: the preset's key, as a link has it.
            shown: the model that the page shows now.
            models: the models that may be used; default: all of the service's.

        Raises:
            UserFacingError: no such preset, or it is made for models that are not here.
        """
        preset = self.presets.get(key)
        names = self.service.store.names() if models is None else models
        return self._open(preset, choose_model(preset.model, preset.title, shown, names))

    def _open(self, preset: Preset, model: str) -> OpenPreset:
        return open_preset(preset, model, self.service.catalog_by_name(model))

    def effect(self, opened: OpenPreset) -> PresetEffect | None:
        """What the preset's heads do to its token, computed unless it was prepared.

        Returns:
            None where the preset switches nothing off.

        Raises:
            UserFacingError: its prompt cannot be analyzed on this model.
        """
        key = (opened.preset.key, opened.model)
        # A catalog that was made again may name other heads.
        catalog = self.service.catalog(opened.model)
        with self._guard:
            cached = self._effects.get(key)
        if cached is not None and cached[0] is catalog:
            return cached[1]
        effect = self._compute(opened)
        with self._guard:
            self._effects[key] = (catalog, effect)
        return effect

    def _compute(self, opened: OpenPreset) -> PresetEffect | None:
        preset, state = opened.preset, opened.revealed
        off = state.ablated or frozenset()
        mode = preset.mode
        everywhere = state.position is not None or state.view in _ALL_POSITIONS
        self.service.pin(opened.model, preset.prompt, off, mode, positions=everywhere)
        if preset.compare_with is not None:
            self.service.pin(opened.model, preset.compare_with, off, mode)
        self.also(opened)
        if not off:
            return None
        analysis = self.service.analyze(opened.model, preset.prompt)
        comparison = compare_with_random(
            analysis.loaded,
            analysis.prompt.ids,
            off,
            target=token_of_text(analysis.loaded, preset.effect_token),
            other=token_of_text(analysis.loaded, preset.against),
            position=state.position,
            mode=mode,
            kind="layer-matched",
            draws=MAX_DRAWS,
        )
        label = token_label(analysis.loaded, comparison.target)
        return PresetEffect(comparison, label, preset.ablated_words)
