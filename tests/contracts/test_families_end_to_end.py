"""Each model family from a local folder to the page: load, analyze, look, ablate heads, nothing changed.

The parts have tests of their own on every family (tests/utils); here the way of the data is walked as a user
walks it, and its ends are compared with plain transformers.
"""

from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from callbacks.live.guide import Guide
from callbacks.live.head_map import HeadMap
from callbacks.live.head_panel import HeadPanel
from callbacks.live.page import LivePage, Request
from callbacks.live.token_strip import TokenStrip
from components import ids
from scripts.analyze_heads import main as analyze_heads
from tests.fixtures.makers.tiny_models import BUILDERS, WINDOW, save_tiny_model
from tests.fixtures.reading_trees import find, text_of
from utils.catalog.catalog import Catalog, catalog_path, load_catalog
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.live.analysis import LiveAnalysis
from utils.live.service import LiveService
from utils.models.families import family_of, output_projection
from utils.models.store import ModelStore
from utils.roles.probe_inputs import probe_sequences
from utils.roles.scores import role_score
from utils.teaching.lessons import LessonSet
from utils.teaching.prepared_presets import PreparedPresets
from utils.teaching.presets import PresetSet

PROMPT = "The cat sat on the mat, and the cat sat on the mat, and the cat sat on"
OFF = [Head(0, 1), Head(2, 0), Head(2, 3)]


@pytest.fixture(scope="module", params=BUILDERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in a local folder, and beside it the catalog that the analyzer wrote."""
    folder = save_tiny_model(request.param, tmp_path_factory.mktemp("end_to_end") / f"my-{request.param}")
    catalogs = str(folder.parent / "catalogs")
    assert analyze_heads(["--model", str(folder), "--output", catalogs, "--sequences", "3"]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> LivePage:
    service = LiveService(ModelStore([folder]), folder.parent / "catalogs")
    return LivePage(service, Guide(service, PreparedPresets(PresetSet(), service, ()), LessonSet()))


@pytest.fixture(scope="module")
def shown(page: LivePage, folder: Path) -> Request:
    """The request that the page makes of the typed prompt."""
    page.service.store.get(folder.name)
    request, _, error, *_ = page.request_prompt(ids.RUN, folder.name, PROMPT, None)
    assert error is None and request == {"model": folder.name, "prompt": PROMPT}
    return request


@pytest.fixture(scope="module")
def analysis(page: LivePage, shown: Request) -> LiveAnalysis:
    return page.service.analyze(shown["model"], shown["prompt"])


@pytest.fixture(scope="module")
def plain(folder: Path) -> Any:
    """The model as transformers alone loads it."""
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)


def plain_logits(model: Any, tokens: Collection[int], off: Collection[Head], width: int) -> Tensor:
    """Logits [position, vocab] of a plain forward, hooks on the projections' inputs setting heads to zero."""

    def without(heads: list[int]) -> Any:
        def hook(_: Any, args: tuple[Tensor, ...]) -> tuple[Tensor]:
            value = args[0].clone()
            for head in heads:
                value[..., head * width : (head + 1) * width] = 0
            return (value,)

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for layer in {head.layer for head in off}:
            projection = output_projection(model, family_of(model.config), layer)
            hook = without([head.head for head in off if head.layer == layer])
            hooks.enter_context(projection.register_forward_pre_hook(hook))
        return model(torch.tensor([list(tokens)])).logits[0]


def test_the_catalog_says_what_the_live_scores_say(folder: Path, analysis: LiveAnalysis) -> None:
    """Offline by TransformerLens, live by PyVene: one score, in windowed layers too."""
    loaded = analysis.loaded
    catalog: Catalog = load_catalog(catalog_path(folder.name, folder.parent / "catalogs"))
    assert (catalog.num_layers, catalog.num_heads) == (loaded.geometry.n_layers, loaded.geometry.n_heads)
    assert catalog.settings.bos_id == loaded.bos_id
    windows = loaded.geometry.windows
    assert catalog.settings.windows == (list(windows) if any(windows) else None)
    sequences = probe_sequences("natural", loaded.tokenizer, loaded.bos_id)
    assert min(map(len, sequences)) > 2 * WINDOW
    patterns = [capture(loaded, tokens).attention for tokens in sequences]
    for role in ("previous_token", "positional", "diffuse"):
        scores = [
            role_score(role, pattern, tokens, loaded.special_ids)
            for pattern, tokens in zip(patterns, sequences, strict=True)
        ]
        by_probe = catalog.probe_scores.get(role, {"natural": catalog.all_scores[role]})
        offline = torch.tensor(by_probe["natural"])
        torch.testing.assert_close(torch.stack(scores).mean(0), offline, rtol=0, atol=2e-5)
        assert offline.max() > 0.01


def test_the_page_shows_the_prompt_the_roles_and_every_head(
    page: LivePage, shown: Request, analysis: LiveAnalysis
) -> None:
    geometry, start = analysis.loaded.geometry, str(analysis.loaded.tokenizer.bos_token)
    started = analysis.loaded.bos_id is not None
    strip = TokenStrip(page.service).show(shown)
    labels = [text_of(token) for token in strip]
    # The start token is shown as such where there is one, and no other token is a special one.
    assert [start in label for label in labels] == [started, *[False] * (len(labels) - 1)]
    specials = [bool(find(token, "hs-token-special")) for token in strip]
    assert specials == [start in label for label in labels]
    assert "".join(analysis.prompt.labels).removeprefix(start).lstrip("·") == PROMPT.replace(" ", "·")
    message = page.token_count(PROMPT, shown["model"])
    assert message.startswith(f"{len(labels)} of at most 128 tokens")
    assert ("start token included" in message) == started
    cards, problem, unanalyzed = page.show_roles(shown, [])
    assert problem is None and unanalyzed is None and "induction" in text_of(cards).lower()
    grid = HeadMap(page.service).show_grid(shown, [str(head) for head in OFF], "L1H0")
    assert len(find(grid, "hs-cell")) == geometry.n_layers * geometry.n_heads
    assert len(find(grid, "hs-cell-off")) == len(OFF)
    last = Head(geometry.n_layers - 1, geometry.n_heads - 1)
    parts = HeadPanel(page.service).show_head(shown, str(last))
    assert str(last) in text_of(parts[0])
    pattern = next(part for part in parts if isinstance(part, dict) and "rows" in part)
    expected = analysis.attention[last].tolist()
    assert pattern["rows"] == [[round(value, 3) for value in row] for row in expected]


def test_the_patterns_are_those_of_plain_transformers(analysis: LiveAnalysis, plain: Any) -> None:
    with torch.no_grad():
        output = plain(torch.tensor([analysis.prompt.ids]), output_attentions=True)
    expected = torch.stack([layer[0] for layer in output.attentions])
    torch.testing.assert_close(analysis.attention, expected, rtol=0, atol=1e-6)
    # One position's logits alone round otherwise than those of all.
    torch.testing.assert_close(analysis.logits, output.logits[0, -1], rtol=0, atol=1e-5)
    # The prompt is longer than the window, so the windows were at work.
    length = len(analysis.prompt.ids)
    assert length > WINDOW + 2
    for layer, window in zip(analysis.attention, analysis.loaded.geometry.windows, strict=True):
        assert (layer[:, -1] > 0).any(0).sum() == (window or length)


def test_heads_off_are_off_and_nothing_stays_behind(
    page: LivePage, shown: Request, analysis: LiveAnalysis, plain: Any
) -> None:
    service, width = page.service, analysis.loaded.geometry.head_dim
    for off in ([OFF[0]], OFF):
        expected = plain_logits(plain, analysis.prompt.ids, off, width)
        ours = service.position_logits(shown["model"], shown["prompt"], off)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
        last = service.next_token_logits(shown["model"], shown["prompt"], off)
        torch.testing.assert_close(last, expected[-1], rtol=0, atol=1e-5)
        assert (last - analysis.logits).abs().max() > 0.01
    weights = plain.state_dict()
    for name, value in analysis.loaded.model.state_dict().items():
        assert torch.equal(value, weights[name])
    after = capture(analysis.loaded, analysis.prompt.ids, last_only=True)
    assert torch.equal(after.attention, analysis.attention)
    assert torch.equal(after.logits[-1], analysis.logits)
