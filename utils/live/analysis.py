"""One prompt on one model: all that is computed about it, once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from utils.catalog.catalog import Catalog
from utils.forward.ablation import AblationMethod
from utils.forward.attention_capture import Capture, capture
from utils.forward.joined_forwards import ForwardSize
from utils.forward.partial_forward import CleanRun
from utils.forward.stream_capture import StreamParts, check_stream
from utils.heads import Head
from utils.live.unlisted_heads import UnlistedHeads, find_unlisted_heads
from utils.models.loading import LoadedModel
from utils.models.prompts import TokenizedPrompt
from utils.roles.activity import HeadActivity, PromptScores, listed_activity, prompt_scores
from utils.roles.registry import ROLES, measured_roles
from utils.writing.attribution import DirectEffect, direct_effect
from utils.writing.live_outputs import WrittenOn


@dataclass(frozen=True, eq=False)
class LiveAnalysis:
    """All that is known about one prompt on one model: all heads on, or, made for that, with some ablated.

    An ablated head keeps its attention, and with it its scores: what is put in place of its output changes
    only what later layers read.

    Attributes:
        loaded: the model.
        prompt: its tokens.
        attention: [layer, head, query, key].
        logits: of the last position [vocab].
        scores: what every head scores for every measured role.
        stream: what each part of the model wrote into the residual stream; None where that is no sum.
        favourite_effect: each head's direct effect on the two most likely tokens after the last one, one
            against the other, [layer, head]; None without the stream.
        catalog: the model's catalog, None where there is none that can be used.
        catalog_problem: why there is none, "" where there is one.
        listed: what each head that the catalog lists for a role does, {role: heads in the catalog's order};
            empty without a catalog. A list has room for a few heads.
        carrying: what each head that has a role does, listed or not, {role: heads, the best in the catalog
            first}; empty without a catalog.
        clean_run: what a forward with heads ablated begins with; None where heads are ablated already.
    """

    loaded: LoadedModel
    prompt: TokenizedPrompt
    attention: Tensor
    logits: Tensor
    scores: PromptScores
    stream: StreamParts | None
    favourite_effect: Tensor | None
    catalog: Catalog | None
    catalog_problem: str
    listed: Mapping[str, tuple[HeadActivity, ...]]
    carrying: Mapping[str, tuple[HeadActivity, ...]]
    clean_run: CleanRun | None

    @property
    def nbytes(self) -> int:
        """Bytes of its large tensors."""
        written = 0 if self.stream is None else self.stream.nbytes
        layers = 0 if self.clean_run is None else self.clean_run.nbytes
        return self.attention.nbytes + self.logits.nbytes + written + layers

    def direct_effect(self, position: int, target: int, against: int | None = None) -> DirectEffect:
        """A logit (difference) taken apart; that of the two favourites after the last token is half done.

        Raises:
            UserFacingError: as `attribution.direct_effect`, or a stream that is no sum of its parts.
        """
        shown_first = (len(self.prompt.ids) - 1, *self.logits.topk(2).indices.tolist())
        heads = self.favourite_effect if (position, target, against) == shown_first else None
        return direct_effect(self.loaded, self.parts, position, target, against, heads)

    @property
    def parts(self) -> StreamParts:
        """What each part wrote, for what is worked out of it.

        Raises:
            UserFacingError: the model's stream is no sum of its parts.
        """
        if self.stream is None:
            check_stream(self.loaded)
            raise RuntimeError("this analysis did not record the stream")
        return self.stream

    def roles_of(self, head: Head) -> Mapping[str, HeadActivity]:
        """What a head does for the measured roles that it has by the catalog, the most telling role first."""
        return self.by_head.get(head, {})

    @cached_property
    def by_head(self) -> Mapping[Head, Mapping[str, HeadActivity]]:
        """What each head that has a measured role does, by head and role, the most telling role first."""
        by_head: dict[Head, dict[str, HeadActivity]] = {}
        for role in sorted(self.carrying, key=lambda role: ROLES[role].telling_rank):
            for activity in self.carrying[role]:
                by_head.setdefault(activity.head, {})[role] = activity
        return by_head

    @cached_property
    def unlisted(self) -> Mapping[str, UnlistedHeads]:
        """Heads that show a role's pattern here without having the role by the catalog, by role."""
        return find_unlisted_heads(self.scores, self.by_head, self.catalog)


@dataclass(frozen=True, eq=False)
class PromptRun:
    """One prompt to be run on one model, with what its analysis reads besides.

    Attributes:
        loaded: the model.
        prompt: its tokens.
        catalog: the model's catalog, None where there is none that can be used.
        problem: why there is none.
    """

    loaded: LoadedModel
    prompt: TokenizedPrompt
    catalog: Catalog | None
    problem: str

    @property
    def is_sum(self) -> bool:
        """Whether the model's stream is the sum of its parts, which are then recorded."""
        return not self.loaded.family.stream.not_a_sum(self.loaded.model.config)

    @property
    def size(self) -> ForwardSize:
        """What its forward costs."""
        return ForwardSize(len(self.prompt.ids), self.loaded.geometry.n_layers)


def analyze_prompt(
    run: PromptRun, ablated: Collection[Head] = (), mode: AblationMethod = "zero"
) -> LiveAnalysis:
    """Run one forward, score every head, and say what the listed heads do.

    Args:
        run: the prompt.
        ablated: heads to ablate.
        mode: what is put in their place.

    Raises:
        UserFacingError: a head that the model does not have, or no such mode.
    """
    result = capture(
        run.loaded, run.prompt.ids, ablated, mode, stream=run.is_sum, layers=not ablated, last_only=True
    )
    return analysis_of(run, result)


def analysis_of(run: PromptRun, result: Capture) -> LiveAnalysis:
    """Score every head in what a forward gave, and say what the listed heads do.

    Args:
        run: the prompt.
        result: of its forward; with each layer's output where no heads are ablated.
    """
    loaded, prompt = run.loaded, run.prompt
    logits = result.logits[-1]
    writes = None if result.stream is None else WrittenOn(loaded, prompt.ids, result.stream, logits)
    scores = prompt_scores(
        result.attention,
        prompt.ids,
        measured_roles(),
        loaded.special_ids,
        loaded.geometry.windows,
        None if writes is None else writes.written,
    )
    listed, carrying = _activities(scores, run.catalog)
    favourite_effect = None if writes is None else writes.favourite_effect
    clean_run = None
    if result.layers is not None:
        clean_run = CleanRun(
            torch.tensor([prompt.ids], device=loaded.model.device),
            len(prompt.ids) - 1,
            logits,
            result.layers,
        )
    return LiveAnalysis(
        loaded,
        prompt,
        result.attention,
        logits,
        scores,
        result.stream,
        favourite_effect,
        run.catalog,
        run.problem,
        listed,
        carrying,
        clean_run,
    )


_Activities = dict[str, tuple[HeadActivity, ...]]


def _activities(scores: PromptScores, catalog: Catalog | None) -> tuple[_Activities, _Activities]:
    """What the listed heads do, and what those that have a role do; a head that is both is judged once."""
    if catalog is None:
        return {}, {}
    lists, carriers = catalog.listed_heads, catalog.carrying_heads
    both = {role: list(dict.fromkeys((*carriers.get(role, ()), *heads))) for role, heads in lists.items()}
    found = {
        role: {activity.head: activity for activity in activities}
        for role, activities in listed_activity(scores, both).items()
    }
    listed, carrying = (
        {role: tuple(found[role][head] for head, _ in heads) for role, heads in chosen.items()}
        for chosen in (lists, carriers)
    )
    return listed, carrying
