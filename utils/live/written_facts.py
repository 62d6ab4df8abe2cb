"""What heads write on a prompt, for the page: direct effects, promoted tokens, sources, lens, estimate.

All of it but the estimate is read off the analysis that the page shows anyway: no forward is run for it. What
is asked for again is kept, in a bounded cache.
"""

import threading
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import LRUCache
from torch import Tensor

from utils.effects.changed_roles import ChangedRole, RandomScores, changed_roles
from utils.effects.effect_map import EffectMap
from utils.effects.estimate import EffectEstimate, estimate_effects
from utils.effects.measures import rival_of
from utils.effects.second_prompt import Fit, PromptPair, filler_token, pair_prompts
from utils.effects.total_and_direct import HeadEffects, replaced_effects, total_and_direct
from utils.errors import UserFacingError
from utils.forward.ablation import AblationMethod, replacements
from utils.forward.interchange import Interchange, check_lengths
from utils.heads import Head
from utils.writing.attribution import DirectEffect, check_tokens
from utils.writing.lens import LogitLens, logit_lens
from utils.writing.promoted import TOP_TOKENS, PromotedTokens, promoted_tokens
from utils.writing.sentences import WrittenReading, read_writing
from utils.writing.sources import source_effects

if TYPE_CHECKING:
    from utils.live.analysis import LiveAnalysis
    from utils.live.service import LiveService

# Results that are kept; the largest, an estimate of 32 x 32 heads, takes some 30 kB.
CACHED_RESULTS = 2048

T = TypeVar("T")


class WrittenFacts:
    """Answers what heads write, for many users at once; nothing here knows who asked.

    In all methods `model` is its name in the menu and `text` the prompt. `position` is whose next token is
    predicted, None for the last; `target` the watched token, None for the model's favourite there; `against`
    the token that it is compared with, None for the most likely besides (as in the effect map).

    Args:
        service: the live entry point, whose analyses this reads.
    """

    def __init__(self, service: "LiveService") -> None:
        self._service = service
        self._results: LRUCache[tuple[Any, ...], Any] = LRUCache(CACHED_RESULTS)
        self._guard = threading.Lock()

    def forget(self, model: str) -> None:
        """Drop what is known by a model."""
        with self._guard:
            for key in [key for key in self._results if key[0] == model]:
                del self._results[key]

    def _kept(self, key: tuple[Any, ...], compute: Callable[[], T]) -> T:
        with self._guard:
            if key in self._results:
                return self._results[key]
        found = compute()
        with self._guard:
            self._results[key] = found
        return found

    def pair(
        self,
        model: str,
        text: str,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
    ) -> tuple[int, int, int]:
        """Position, watched token and the one that it is compared with, each filled in where it is None.

        Raises:
            UserFacingError: a position or a token that there is not.
        """
        analysis = self._service.analyze(model, text)
        last = len(analysis.prompt.ids) - 1
        where = last if position is None else position
        if not 0 <= where <= last:
            raise UserFacingError(
                f"There is no token {where} in the prompt.", f"Choose a position from 0 to {last}."
            )
        check_tokens(analysis.loaded, target, against)
        logits = self._service.logits_at(model, text, where)
        chosen = int(logits.argmax()) if target is None else target
        other = rival_of(logits, chosen) if against is None or against == chosen else against
        return where, chosen, other

    def _asked(
        self,
        model: str,
        text: str,
        position: int | None,
        target: int | None,
        against: int | None,
        alone: bool,
    ) -> tuple["LiveAnalysis", int, int, int | None]:
        where, chosen, other = self.pair(model, text, position, target, against)
        return self._service.analyze(model, text), where, chosen, None if alone else other

    def direct(
        self,
        model: str,
        text: str,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
        alone: bool = False,
    ) -> DirectEffect:
        """What each part adds to the logit difference.

        Args:
            model: as above.
            text: as above.
            position: as above.
            target: as above.
            against: as above.
            alone: take the watched token's own logit apart instead of the difference.

        Raises:
            UserFacingError: what there is not, or a model whose parts cannot be told apart.
        """
        analysis, where, chosen, other = self._asked(model, text, position, target, against, alone)
        key = (model, text, analysis.prompt.ids, "direct", where, chosen, other)
        return self._kept(key, lambda: analysis.direct_effect(where, chosen, other))

    def promoted(
        self, model: str, text: str, head: Head, position: int | None = None, count: int = TOP_TOKENS
    ) -> PromotedTokens:
        """The tokens that a head promotes and suppresses."""
        analysis = self._service.analyze(model, text)
        where = len(analysis.prompt.ids) - 1 if position is None else position
        key = (model, text, analysis.prompt.ids, "promoted", where, head, count)
        return self._kept(key, lambda: promoted_tokens(analysis.loaded, analysis.parts, head, where, count))

    def sources(
        self,
        model: str,
        text: str,
        head: Head,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
        alone: bool = False,
    ) -> Tensor:
        """A head's direct effect split by the token that it attends to, [key], logits; do not change it."""
        analysis, where, chosen, other = self._asked(model, text, position, target, against, alone)
        key = (model, text, analysis.prompt.ids, "sources", where, chosen, other, head)
        attention = analysis.attention[head.layer, head.head]
        return self._kept(
            key,
            lambda: source_effects(analysis.loaded, analysis.parts, attention, head, where, chosen, other),
        )

    def reading(
        self,
        model: str,
        text: str,
        head: Head,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
    ) -> WrittenReading:
        """What a head attends to and does with it; `writing.sentences` puts it into words."""
        analysis, where, chosen, other = self._asked(model, text, position, target, against, False)
        key = (model, text, analysis.prompt.ids, "reading", where, chosen, other, head)
        attention = analysis.attention[head.layer, head.head]
        return self._kept(
            key,
            lambda: read_writing(
                analysis.loaded, analysis.parts, attention, analysis.prompt, head, where, chosen, other
            ),
        )

    def lens(
        self,
        model: str,
        text: str,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
    ) -> LogitLens:
        """The watched token along the layers."""
        analysis, where, chosen, other = self._asked(model, text, position, target, against, False)
        key = (model, text, analysis.prompt.ids, "lens", where, chosen, other)
        return self._kept(key, lambda: logit_lens(analysis.loaded, analysis.parts, where, chosen, other))

    def estimate(
        self,
        model: str,
        text: str,
        position: int | None = None,
        target: int | None = None,
        against: int | None = None,
        mode: AblationMethod = "zero",
    ) -> EffectEstimate:
        """A first-order estimate of the effect map: one forward and one backward."""
        analysis, where, chosen, other = self._asked(model, text, position, target, against, False)
        key = (model, text, analysis.prompt.ids, "estimate", where, chosen, other, mode)
        ids = analysis.prompt.ids
        return self._kept(key, lambda: estimate_effects(analysis.loaded, ids, chosen, other, where, mode))

    def total_and_direct(self, model: str, text: str, found: EffectMap) -> tuple[HeadEffects, ...]:
        """An effect map's numbers beside the direct effects, head by head, with their readings."""
        direct = self.direct(model, text, found.position, found.target, found.other)
        analysis = self._service.analyze(model, text)
        replaced = replaced_effects(
            analysis.loaded,
            analysis.parts,
            found.position,
            found.target,
            found.other,
            replacements(analysis.loaded, found.mode),
        )
        return total_and_direct(found, direct, replaced)

    def changed(
        self,
        model: str,
        text: str,
        off: Collection[Head],
        mode: AblationMethod = "zero",
        random: RandomScores | None = None,
    ) -> tuple[ChangedRole, ...]:
        """The heads whose role scores changed most without `off`.

        Args:
            model: as above.
            text: as above.
            off: the ablated heads.
            mode: what is put in their place.
            random: the scores without random sets (`changed_roles.random_scores`, a job), None before.
        """
        clean = self._service.analyze(model, text).scores
        ablated = self._service.analyze_ablated(model, text, off, mode).scores
        return changed_roles(clean, ablated, off, random)

    def second_prompt(self, model: str, text: str, second: str, fit: Fit = "as_is") -> PromptPair:
        """The prompt and a second one as tokens, the second made to fit, with what differs.

        Raises:
            UserFacingError: as `LiveService.tokenize` for either, or a way to fit that cannot be.
        """
        first, other = (self._service.tokenize(model, each).ids for each in (text, second))
        return pair_prompts(first, other, fit, filler_token(self._service.analyze(model, text).loaded))

    def interchange(self, model: str, text: str, second: str, fit: Fit = "as_is") -> Interchange:
        """The ablation method that takes values from a second prompt, to be handed on as `mode`.

        Raises:
            UserFacingError: as `second_prompt`, or prompts of unlike lengths.
        """
        pair = self.second_prompt(model, text, second, fit)
        check_lengths(len(pair.first), len(pair.second))
        return Interchange(pair.second)
