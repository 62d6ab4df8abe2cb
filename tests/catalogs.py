"""Small catalogs for tests, made of the real records."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from utils.catalog import (
    RANKING_METHODS,
    SCHEMA_VERSION,
    Catalog,
    Category,
    ListedHead,
    ProbeInput,
    RoleThresholds,
    Settings,
    save_catalog,
)
from utils.head_roles import ROLES
from utils.heads import Head


def make_catalog(
    model_name: str,
    layers: int,
    heads: int,
    listed: Mapping[str, Sequence[tuple[Head, float]]],
    special_ids: Collection[int] = (0,),
    windows: Sequence[int | None] | None = None,
) -> Catalog:
    """A catalog that lists the given heads with their scores; every other score in it is 0.1."""
    measured = [key for key, role in ROLES.items() if role.measured]
    scores = {role: [[0.1] * heads for _ in range(layers)] for role in measured}
    for role, entries in listed.items():
        for head, score in entries:
            if role in scores:
                scores[role][head.layer][head.head] = score
    return Catalog(
        schema_version=SCHEMA_VERSION,
        model_name=model_name,
        num_layers=layers,
        num_heads=heads,
        analysis_date="2025-11-21T01:30:13+00:00",
        settings=Settings(
            seed=0,
            sequences=50,
            device="cpu",
            bos_id=0,
            special_ids=sorted(special_ids),
            windows=None if windows is None else list(windows),
            inputs={"natural": ProbeInput(sequences=24, shortest=12, longest=20)},
            thresholds={role: RoleThresholds(threshold=0.4, lower_threshold=0.25) for role in measured},
            versions={},
        ),
        categories={
            key: Category(
                display_name=role.display_name,
                description=role.description,
                explanation=role.explanation,
                icon=role.icon,
                requires_repetition=role.requires_repetition,
                suggested_prompts=[],
                top_heads=[
                    ListedHead(layer=head.layer, head=head.head, score=score)
                    for head, score in listed.get(key, ())
                ],
            )
            for key, role in ROLES.items()
        },
        all_scores=scores,
        all_scores_std=scores,
        probe_scores={},
        rankings={method: [] for method in RANKING_METHODS},
    )


def write_catalog(
    folder: Path,
    model_name: str,
    layers: int,
    heads: int,
    listed: Mapping[str, Sequence[tuple[Head, float]]],
    special_ids: Collection[int] = (0,),
    windows: Sequence[int | None] | None = None,
) -> Path:
    """Save `make_catalog`'s catalog in `folder`; returns its path."""
    return save_catalog(make_catalog(model_name, layers, heads, listed, special_ids, windows), folder)
