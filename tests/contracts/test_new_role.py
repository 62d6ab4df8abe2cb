"""A role that is one row: registered here, it goes through analyzer, catalog, page, export and glossary.

Its score is neither a mass on a mask nor a mean of masses: how near a head looks, weighted by distance.
"""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from callbacks.live.context import Request
from callbacks.live.guide import Guide
from callbacks.live.head_map import HeadMap
from callbacks.live.head_panel import HeadPanel
from callbacks.live.page import LivePage
from callbacks.pages.catalog_page import CatalogPage
from callbacks.pages.compare_page import ComparePage
from components.help_text import active_rule, help_dialog
from components.terms import GLOSSARY, terms_of
from scripts.analyze_heads import main as analyze
from tests.fixtures.reading_trees import text_of
from utils.catalog.catalog import Catalog, catalog_path, load_catalog
from utils.catalog.check import catalog_problems
from utils.compare.side_by_side import side_by_side
from utils.export.analysis_json import Chosen, analysis_export
from utils.export.heads_csv import heads_csv
from utils.head_detection import get_active_head_summary, verify_head_activation
from utils.live.head_facts import interesting_head, role_facts
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.roles.registry import ROLES, HeadRole, measured_roles
from utils.roles.role_score import FIRST_ROW, ExtraCheck, RoleScore, RoleTarget, every_key
from utils.teaching.head_references import parse_reference, resolve
from utils.teaching.lessons import LessonSet
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import PresetSet

PROMPT = "The king gave the boy a golden ring, and the boy took the golden"
MODEL = "demo-gpt2"


def nearness(attention: Tensor, targets: Any) -> Tensor:
    """Mean over rows i >= 2 of 1 - E[i - j] / i under A[i, j]: 1 for a head that looks at itself alone."""
    query = torch.arange(attention.shape[-1], dtype=attention.dtype)
    distance = (query[:, None] - query[None, :]).clamp(min=0) / query.clamp(min=1)[:, None]
    return 1 - (attention * distance).sum(-1)[..., FIRST_ROW:].mean(-1)


def chance_of_nearness(target: RoleTarget, window: int | None) -> float:
    return 0.5


def first_share(attention: Tensor) -> Tensor:
    return attention[..., FIRST_ROW:, 0].mean(-1)


NEARBY = HeadRole(
    key="nearby",
    display_name="Nearby",
    description="Looks at tokens close by.",
    explanation="The nearer a token, the more it is looked at.",
    score=RoleScore(
        every_key,
        measure=nearness,
        chance=chance_of_nearness,
        check=ExtraCheck(
            first_share,
            0.3,
            "little of its attention goes to the first token",
            lambda value: f"{value:.0%} of its attention goes to the first token",
        ),
    ),
    scoring="Score: how near the tokens are that it looks at.",
    source="",
    telling_rank=-1,
    letter="N",
    icon="bullseye",
    color="#123456",
    color_dark="#abcdef",
    requires_repetition=False,
    probes=("natural",),
    threshold=0.8,
    lower_threshold=0.75,
    example_prompts=("Once upon a time there was a poor woodcutter who lived in the forest.",),
    names=("close by",),
)


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the catalog of a bundled model, made while the role is registered."""
    folder = tmp_path_factory.mktemp("catalogs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ROLES, "nearby", NEARBY)
        assert analyze(["--model", MODEL, "--sequences", "4", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROLES, "nearby", NEARBY)


@pytest.fixture
def catalog(catalogs: Path) -> Catalog:
    return load_catalog(catalog_path(MODEL, catalogs))


@pytest.fixture
def service(catalogs: Path) -> LiveService:
    return LiveService(ModelStore(), catalogs)


def test_the_analyzer_measures_lists_and_suggests(catalog: Catalog, catalogs: Path) -> None:
    listed = catalog.categories["nearby"].top_heads
    assert listed and all(entry.score >= 0.75 for entry in listed)
    assert "nearby" in catalog.all_scores and catalog.settings.thresholds["nearby"].threshold == 0.8
    assert catalog.categories["nearby"].display_name == "Nearby"
    assert catalog_problems(catalog_path(MODEL, catalogs)) == []


def test_the_live_scores_are_its_own_measure(service: LiveService, catalog: Catalog) -> None:
    analysis = service.analyze(MODEL, PROMPT)
    expected = nearness(analysis.attention, ()).clamp(0, 1)
    torch.testing.assert_close(analysis.scores.live["nearby"], expected)
    assert any(activity.is_active for activity in analysis.listed["nearby"])
    for activity in analysis.listed["nearby"]:
        at = activity.head
        assert activity.chance == 0.5
        wanted = float(expected[at]) >= (activity.needed or 0) and first_share(analysis.attention)[at] <= 0.3
        assert activity.is_active is bool(wanted)
    one = analysis.listed["nearby"][0].head
    by_hand = verify_head_activation(
        analysis.attention[one.layer, one.head], analysis.prompt.ids, {"layer": 0, "head": 0}, "nearby"
    )
    assert by_hand == pytest.approx(float(expected[one]))


def test_the_public_summary_has_it(service: LiveService, catalogs: Path) -> None:
    analysis = service.analyze(MODEL, PROMPT)
    data = {"attention": analysis.attention, "tokens": analysis.prompt.ids}
    (first, *_) = get_active_head_summary(data, MODEL, catalogs)["nearby"]
    assert first["head"] == analysis.listed["nearby"][0].head.head and first["reason"]


def test_what_fails_its_check_says_so(service: LiveService) -> None:
    role_input = service.analyze(MODEL, PROMPT).scores.inputs["nearby"][0]
    assert role_input.is_active(1.0, 0.9, 0.3) and not role_input.is_active(1.0, 0.9, 0.31)
    assert role_input.explain(1.0, 0.9, 0.31, 0.31) == "31% of its attention goes to the first token"


def test_the_live_page_shows_it(service: LiveService) -> None:
    page = LivePage(service, Guide(service, PreparedPresets(PresetSet(), service, ()), LessonSet()))
    request: Request = {"model": MODEL, "prompt": PROMPT}
    cards, problem, _ = page.show_roles(request, [])
    (card,) = [card for card in cards if getattr(card, "data-role") == "nearby"]
    assert problem is None and "Looks at tokens close by." in text_of(card)
    assert getattr(card, "data-state") == "active" and "#123456" in str(card.style)
    analysis = service.analyze(MODEL, PROMPT)
    # The most telling of the roles that are active.
    head = interesting_head(analysis)
    assert head in [activity.head for activity in analysis.listed["nearby"] if activity.is_active]
    assert "Nearby" in text_of(HeadMap(service).show_grid(request, [], str(head)))
    assert "Nearby" in text_of(HeadPanel(service).show_head(request, str(head))[2])
    assert [fact.role for fact in role_facts(analysis, head)] == list(measured_roles())
    layout = page.layout("")
    assert "role-card" in str(layout) and "'nearby'" in str(layout)


def test_the_other_pages_show_it(service: LiveService) -> None:
    assert "Nearby" in text_of(CatalogPage(service).show(MODEL, "nearby", "light")[0])
    analysis = service.analyze(MODEL, PROMPT)
    comparison = side_by_side(analysis, service.analyze(MODEL, "One day a boy saw a dog."))
    assert "nearby" in [role.role for role in comparison.roles]
    assert ComparePage(service).layout("") is not None


def test_exports_have_it(service: LiveService) -> None:
    analysis = service.analyze(MODEL, PROMPT)
    data: Any = analysis_export(analysis, Chosen())
    assert data["roles"]["nearby"]["active"] is True
    assert data["settings"]["rules"]["thresholds"]["nearby"] == 0.8
    assert data["settings"]["rules"]["largest_extra_check"]["nearby"] == 0.3
    rows = list(csv.DictReader(io.StringIO(heads_csv(analysis))))
    assert sum(row["role"] == "nearby" for row in rows) == 4 * 16


def test_the_glossary_and_the_help_have_it() -> None:
    assert GLOSSARY["nearby"].more == NEARBY.scoring
    assert "nearby" in [term.key for term in terms_of("roles")]
    assert "little of its attention goes to the first token" in active_rule()
    assert "Looks" not in active_rule() and "The nearer a token" in text_of(help_dialog())


def test_presets_can_name_its_heads(catalog: Catalog) -> None:
    for written in ("nearby 1", "close by 1", "first nearby head"):
        (head,) = resolve(parse_reference(written), catalog, MODEL)
        top = catalog.categories["nearby"].top_heads[0]
        assert (head.layer, head.head) == (top.layer, top.head)
    assert str(parse_reference("nearby 1")) == "the first close-by head"
