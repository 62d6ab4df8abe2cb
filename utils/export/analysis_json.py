"""What one live page shows, as JSON to take away, with what made it: it can be read without the page.

The page's card "Export" and `scripts/analyze_prompt.py` both make it by `export_analysis`. All numbers go
through `json_output`. `heads_csv` has the heads as a table, `lab_record` what is handed in.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from utils.effects.prediction import TOP_K, Comparison, TokenChange, compare
from utils.forward.ablation import AblationMethod
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.models.prompts import token_label, token_text
from utils.roles import registry
from utils.roles.registry import ROLES
from utils.runtime.json_output import Json, to_json
from utils.runtime.provenance import app_version, library_versions
from utils.writing.promoted import promoted_tokens
from utils.writing.sentences import read_writing, written_sentence

# 2: `prediction` is the ranked list; what had that name in 1 is `comparison`, unchanged.
SCHEMA_VERSION = 2
# So many heads, those with the largest direct effects, are exported with the tokens that they promote.
PROMOTING_HEADS = 5


@dataclass(frozen=True)
class Chosen:
    """What a user has chosen besides model and prompt.

    Attributes:
        ablated: heads that are off.
        mode: what is put in their place.
        position: where the prediction is made, None for the last token.
        link: address that opens the same page again.
        second: the second prompt of an interchange, "" without one.
    """

    ablated: frozenset[Head] = frozenset()
    mode: AblationMethod = "zero"
    position: int | None = None
    link: str = ""
    second: str = ""


def export_analysis(
    service: LiveService,
    analysis: LiveAnalysis,
    chosen: Chosen,
    target: int | None = None,
    against: int | None = None,
    effect_map: Any = None,
    random_sets: Any = None,
) -> dict[str, Json]:
    """`analysis_export` of what is chosen, with what that takes of predictions and ablated heads computed.

    Args:
        service: the live entry point that made the analysis.
        analysis: the prompt on the model, all heads on.
        chosen: what is off, and where the prediction is made.
        target: id of the token to watch, None for the most likely.
        against: id of the logit difference's other token, None for the most likely besides the target.
        effect_map: as in `analysis_export`.
        random_sets: as in `analysis_export`.

    Raises:
        UserFacingError: a head that the model does not have, or no such mode.
    """
    model, text = analysis.loaded.name, analysis.prompt.text
    position = _position(analysis, chosen)
    clean, ablated = (
        service.logits_at(model, text, position, off, chosen.mode) for off in ((), chosen.ablated)
    )
    return analysis_export(
        analysis,
        chosen,
        compare(clean, ablated, target, against),
        service.analyze_ablated(model, text, chosen.ablated, chosen.mode) if chosen.ablated else None,
        effect_map=effect_map,
        random_sets=random_sets,
    )


def export_text(data: Mapping[str, Json]) -> str:
    """An export as the text of its file."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1)


def analysis_export(
    analysis: LiveAnalysis,
    chosen: Chosen,
    comparison: Comparison | None = None,
    ablated: LiveAnalysis | None = None,
    effect_map: Any = None,
    random_sets: Any = None,
    made_at: datetime | None = None,
) -> dict[str, Json]:
    """Everything that a live page shows, as JSON data.

    Args:
        analysis: the prompt on the model, all heads on.
        chosen: what is off, and where the prediction is made.
        comparison: the prediction there, clean beside ablated; None for the clean one at the last token.
        ablated: the prompt on the model with the chosen heads ablated; None where none are.
        effect_map: the effect map where one was computed, as data that `json_output` takes.
        random_sets: the comparison with random sets of heads, likewise.
        made_at: time of the export, default now.

    Raises:
        ValueError: heads are ablated and `ablated` or `comparison` is missing, or the other way round.
    """
    loaded, prompt, geometry = analysis.loaded, analysis.prompt, analysis.loaded.geometry
    if bool(chosen.ablated) != (ablated is not None) or (ablated is not None and comparison is None):
        raise ValueError("comparison and ablated must be given where heads are ablated, ablated only there.")
    if comparison is None:
        comparison = compare(analysis.logits, analysis.logits)
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
            "tokens": [
                {
                    "index": index,
                    "text": token_text(loaded, token),
                    "label": label,
                    "id": token,
                    "special": special,
                }
                for index, (token, label, special) in enumerate(
                    zip(prompt.ids, prompt.labels, prompt.special, strict=True)
                )
            ],
            "settings": {
                "model": loaded.name,
                "prompt": prompt.text,
                "heads": chosen.ablated,
                "ablated": chosen.ablated,
                "mode": str(chosen.mode),
                "second_prompt": chosen.second or None,
                "position": _position(analysis, chosen),
                "target": _token(analysis, comparison.watched.token),
                "against": _token(analysis, comparison.rival),
                "catalog_date": analysis.catalog.analysis_date if analysis.catalog else None,
                "rules": _rules(),
            },
            "link": chosen.link,
            "roles": _roles(analysis),
            "prediction": [
                _ranked(analysis, row.token, row.clean, row.clean_rank) for row in comparison.rows[:TOP_K]
            ],
            "ablated": _ablated(ablated, chosen, comparison) if ablated else None,
            "comparison": {
                "candidates": [_candidate(analysis, row) for row in comparison.rows],
                "watched": _candidate(analysis, comparison.watched),
                "logit_difference": _logit_difference(comparison),
                "kl": comparison.kl,
            },
            "direct_effect": _direct_effect(analysis, comparison, _position(analysis, chosen)),
            "promotes": _promotes(analysis, comparison, _position(analysis, chosen)),
            "effect_map": effect_map,
            "random_sets": random_sets,
        }
    )
    assert isinstance(data, dict)
    return data


def _direct_effect(analysis: LiveAnalysis, comparison: Comparison, position: int) -> dict[str, Any] | None:
    """What each part adds to the clean logit difference; None where the parts cannot be told apart."""
    if analysis.stream is None:
        return None
    found = analysis.direct_effect(position, comparison.watched.token, comparison.rival)
    return {
        "token": _token(analysis, found.target),
        "against": _token(analysis, comparison.rival),
        "position": position,
        "heads": found.heads,
        "mlps": found.mlps,
        "embedding": found.embedding,
        "bias": found.bias,
        "logit_difference": found.logit,
        "before_soft_cap": found.capped,
    }


def _promotes(analysis: LiveAnalysis, comparison: Comparison, position: int) -> list[dict[str, Any]] | None:
    """The tokens that the heads with the largest direct effects promote and suppress, and why."""
    if analysis.stream is None:
        return None
    loaded, stream = analysis.loaded, analysis.stream
    watched, rival = comparison.watched.token, comparison.rival
    strongest = analysis.direct_effect(position, watched, rival).strongest(PROMOTING_HEADS)
    listed = []
    for head in strongest:
        found = promoted_tokens(loaded, stream, head, position)
        attention = analysis.attention[head.layer, head.head]
        reading = read_writing(loaded, stream, attention, analysis.prompt, head, position, watched, rival)
        listed.append(
            {
                **_head(head),
                "says": written_sentence(loaded, reading),
                "promoted": [{**_token(analysis, one.token), "logits": one.logits} for one in found.promoted],
                "suppressed": [
                    {**_token(analysis, one.token), "logits": one.logits} for one in found.suppressed
                ],
            }
        )
    return listed


def _time(made_at: datetime | None) -> str:
    return (made_at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _position(analysis: LiveAnalysis, chosen: Chosen) -> int:
    return len(analysis.prompt.ids) - 1 if chosen.position is None else chosen.position


def _token(analysis: LiveAnalysis, token: int) -> dict[str, Any]:
    return {
        "id": token,
        "label": token_label(analysis.loaded, token),
        "text": token_text(analysis.loaded, token),
    }


def _ranked(analysis: LiveAnalysis, token: int, probability: float, rank: int) -> dict[str, Any]:
    return {
        "rank": rank,
        "token": token_text(analysis.loaded, token),
        "label": token_label(analysis.loaded, token),
        "id": token,
        "probability": probability,
    }


def _logit_difference(comparison: Comparison) -> dict[str, float]:
    clean, ablated = comparison.logit_difference
    return {"clean": clean, "ablated": ablated}


def _ablated(ablated: LiveAnalysis, chosen: Chosen, comparison: Comparison) -> dict[str, Any]:
    """What is so with the heads ablated; `ablated` has the roles, `comparison` the prediction."""
    watched = comparison.watched
    return {
        "heads": chosen.ablated,
        "mode": chosen.mode,
        "roles": _roles(ablated),
        "prediction": [
            _ranked(ablated, row.token, row.ablated, row.ablated_rank) for row in comparison.ablated_rows
        ],
        "target": {
            **_token(ablated, watched.token),
            "probability": {"clean": watched.clean, "ablated": watched.ablated},
            "rank": {"clean": watched.clean_rank, "ablated": watched.ablated_rank},
        },
        "against": _token(ablated, comparison.rival),
        "logit_difference": _logit_difference(comparison),
        "kl": comparison.kl,
    }


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
            "carrying_count": len(analysis.carrying.get(role, ())),
            "carrying_active_count": sum(one.is_active for one in analysis.carrying.get(role, ())),
            "listed": [
                {
                    **_head(activity.head),
                    "rank": rank,
                    "catalog_score": activity.catalog_score,
                    "live_score": activity.live,
                    "chance": activity.chance,
                    "needed": activity.needed,
                    "active": activity.is_active,
                    "reason": activity.reason,
                }
                for rank, activity in enumerate(listed, start=1)
            ],
            "unlisted_active": [{**vars(entry), **_head(entry.head)} for entry in unlisted.heads],
            "unlisted_active_count": unlisted.count,
        }
    return roles


def _head(head: Head) -> dict[str, Any]:
    """A head by its name, and by its layer and its number in that."""
    return {"head": head, "layer": head.layer, "number": head.head}


def file_name(model: str, what: str, suffix: str, made_at: datetime | None = None) -> str:
    """A name for a download that every system takes: headscope-demo-gpt2-heads-2025-01-31.csv."""
    # Accents go and letters stay; letters of other scripts cannot.
    plain = unicodedata.normalize("NFKD", model).encode("ascii", "ignore").decode()
    clean = re.sub(r"[^A-Za-z0-9.]+", "-", plain).strip("-.")[:60] or "model"
    return f"headscope-{clean}-{what}-{_time(made_at)[:10]}.{suffix}"
