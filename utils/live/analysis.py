"""One prompt on one model, all heads on: all that is computed about it, once."""

from dataclasses import dataclass

from torch import Tensor

from utils.catalog.catalog import Catalog
from utils.forward.attention_capture import capture
from utils.models.loading import LoadedModel
from utils.models.prompts import TokenizedPrompt
from utils.roles.activity import summarize_heads
from utils.roles.scores import MEASURED_ROLES, role_score


@dataclass(frozen=True, eq=False)
class LiveAnalysis:
    """All that is known about one prompt on one model, all heads on.

    Attributes:
        loaded: the model.
        prompt: its tokens.
        attention: [layer, head, query, key].
        logits: of the last position [vocab].
        scores: every head's live score, {role: [layer, head]}.
        catalog: the model's catalog, None where there is none that can be used.
        catalog_problem: why there is none, "" where there is one.
        summary: `head_detection.summarize_heads`, empty without a catalog.
    """

    loaded: LoadedModel
    prompt: TokenizedPrompt
    attention: Tensor
    logits: Tensor
    scores: dict[str, Tensor]
    catalog: Catalog | None
    catalog_problem: str
    summary: dict[str, list[dict]]


def _size(analysis: LiveAnalysis) -> int:
    return analysis.attention.nbytes + analysis.logits.nbytes


def _analyze(
    loaded: LoadedModel, prompt: TokenizedPrompt, catalog: Catalog | None, problem: str
) -> LiveAnalysis:
    """One forward, every head's scores, and what the catalogued heads do."""
    result = capture(loaded, prompt.ids)
    scores = {
        role: role_score(role, result.attention, prompt.ids, loaded.special_ids).clamp(0, 1)
        for role in MEASURED_ROLES
    }
    summary = {}
    if catalog is not None:
        categories = {role: category.model_dump() for role, category in catalog.categories.items()}
        summary = summarize_heads(
            result.attention, prompt.ids, categories, loaded.special_ids, loaded.geometry.windows
        )
    return LiveAnalysis(
        loaded, prompt, result.attention, result.logits[-1].clone(), scores, catalog, problem, summary
    )
