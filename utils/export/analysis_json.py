"""What one live page shows, as JSON to take away, with what made it: it can be read without the page.

All numbers go through `json_gate`. `heads_csv` has the heads as a table, `lab_record` what is handed in.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from utils.effects.prediction import Comparison, TokenChange, compare
from utils.forward.ablation import AblationMode
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.models.prompts import token_label
from utils.roles import registry
from utils.roles.registry import ROLES
from utils.runtime.json_output import Json, to_json
from utils.runtime.provenance import app_version, library_versions

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Chosen:
    """What a user has chosen besides model and prompt.

    Attributes:
        ablated: heads that are off.
        mode: what is put in their place.
        position: where the prediction is made, None for the last token.
        link: address that opens the same page again.
    """

    ablated: frozenset[Head] = frozenset()
    mode: AblationMode = "zero"
    position: int | None = None
    link: str = ""


def analysis_export(
    analysis: LiveAnalysis,
    chosen: Chosen,
    comparison: Comparison | None = None,
    effect_map: Any = None,
    random_sets: Any = None,
    made_at: datetime | None = None,
) -> dict[str, Json]:
    """Everything that a live page shows, as JSON data.

    Args:
        analysis: the prompt on the model, all heads on.
        chosen: what is off, and where the prediction is made.
        comparison: the prediction there, clean beside ablated; None for the clean one at the last token.
        effect_map: the effect map where one was computed, as data that `json_gate` takes.
        random_sets: the comparison with random sets of heads, likewise.
        made_at: time of the export, default now.
    """
    loaded, prompt, geometry = analysis.loaded, analysis.prompt, analysis.loaded.geometry
    if comparison is None:
        comparison = compare(analysis.logits, analysis.logits)
    last = len(prompt.ids) - 1
    data = to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "headscope-analysis",
            "made_at": _time(made_at),
            "versions": {"headscope": app_version(), **library_versions()},
            "model": {
                "name": loaded.name,
                "family": loaded.family.model_type,
                "layers": geometry.n_layers,
                "heads": geometry.n_heads,
                "kv_heads": geometry.n_kv_heads,
                "head_dim": geometry.head_dim,
                "windows": geometry.windows,
                "bos_id": loaded.bos_id,
                "special_ids": sorted(loaded.special_ids),
            },
            "prompt": {
                "text": prompt.text,
                "tokens": [
                    {"position": position, "id": token, "label": label, "special": special}
                    for position, (token, label, special) in enumerate(
                        zip(prompt.ids, prompt.labels, prompt.special, strict=True)
                    )
                ],
            },
            "settings": {
                "ablated": chosen.ablated,
                "mode": chosen.mode,
                "position": last if chosen.position is None else chosen.position,
                "target": _token(analysis, comparison.watched.token),
                "against": _token(analysis, comparison.rival),
                "catalog_date": analysis.catalog.analysis_date if analysis.catalog else None,
                "rules": _rules(),
            },
            "link": chosen.link,
            "roles": _roles(analysis),
            "prediction": {
                "candidates": [_candidate(analysis, row) for row in comparison.rows],
                "watched": _candidate(analysis, comparison.watched),
                "logit_difference": {
                    "clean": comparison.logit_difference[0],
                    "ablated": comparison.logit_difference[1],
                },
                "kl": comparison.kl,
            },
            "effect_map": effect_map,
            "random_sets": random_sets,
        }
    )
    assert isinstance(data, dict)
    return data


def _time(made_at: datetime | None) -> str:
    return (made_at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _token(analysis: LiveAnalysis, token: int) -> dict[str, Any]:
    return {"id": token, "label": token_label(analysis.loaded, token)}


def _candidate(analysis: LiveAnalysis, row: TokenChange) -> dict[str, Any]:
    return {
        **_token(analysis, row.token),
        "clean": row.clean,
        "ablated": row.ablated,
        "change": row.change,
        "clean_rank": row.clean_rank,
        "ablated_rank": row.ablated_rank,
    }


def _rules() -> dict[str, Any]:
    """The numbers that decide what is active."""
    return {
        "min_share_of_catalog_score": registry.MIN_LIVE_SHARE,
        "min_margin_over_chance": registry.MIN_MARGIN,
        "standard_errors": registry.Z_ONE_SIDED,
        "standard_errors_unlisted": registry.Z_SEARCH,
        "largest_extra_check": {
            key: role.score.check.limit for key, role in ROLES.items() if role.score and role.score.check
        },
        "thresholds": {key: role.threshold for key, role in ROLES.items() if role.measured},
    }


def _roles(analysis: LiveAnalysis) -> dict[str, Any]:
    catalog, scores = analysis.catalog, analysis.scores
    roles = {}
    for role, asked in scores.inputs.items():
        listed, target, unlisted = analysis.listed.get(role, ()), scores.target(role), analysis.unlisted[role]
        roles[role] = {
            "active": any(activity.is_active for activity in listed),
            "applicable": target.applicable,
            "reason": target.reason,
            "positions": target.rows,
            "chance_by_layer": [one.chance for one in asked],
            "live_scores": scores.live[role],
            "catalog_scores": catalog.all_scores.get(role) if catalog else None,
            "listed": [
                {
                    "head": activity.head,
                    "rank": rank,
                    "catalog_score": activity.catalog_score,
                    "live_score": activity.live,
                    "needed": activity.needed,
                    "active": activity.is_active,
                    "reason": activity.reason,
                }
                for rank, activity in enumerate(listed, start=1)
            ],
            "unlisted_active": unlisted.heads,
            "unlisted_active_count": unlisted.count,
        }
    return roles


def file_name(model: str, what: str, suffix: str, made_at: datetime | None = None) -> str:
    """A name for a download that every system takes: headscope-demo-gpt2-heads-2025-01-31.csv."""
    # Accents go and letters stay; letters of other scripts cannot.
    plain = unicodedata.normalize("NFKD", model).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9.]+", "-", plain).strip("-.")[:60] or "model"
    return f"headscope-{clean}-{what}-{_time(made_at)[:10]}.{suffix}"
