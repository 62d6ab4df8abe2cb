"""Where the parts of the live page are that a lesson points at and a preset covers."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from components import ids

# By key of `utils.links.page_parts.PAGE_PARTS`; a part of another page has no element here.
PART_IDS: Mapping[str, str] = MappingProxyType(
    {
        "model-menu": ids.MODEL,
        "prompt": ids.PROMPT,
        "run": ids.RUN,
        "token-strip": ids.TOKENS,
        "head-grid": ids.GRID,
        "role-cards": ids.ROLES,
        "prediction": ids.PREDICTION,
        "chips": ids.CHIPS,
        "toggle-head": ids.TOGGLE_HEAD,
        "head-facts": ids.DETAIL_FACTS,
        "heatmap": ids.PART_HEATMAP,
        "bertviz": ids.PART_BERTVIZ,
        "effect-map": ids.VIEW_EFFECTS,
        "positions": ids.VIEW_POSITIONS,
        "continuations": ids.VIEW_CONTINUATIONS,
        "compare": ids.NAV,
    }
)


def element_ids(parts: Iterable[str]) -> str:
    """The ids of some parts' elements, separated by spaces, as headscope.js reads them."""
    return " ".join(PART_IDS[part] for part in parts)
