"""Which token goes first where neither family nor tokenizer says: what the catalog measured."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.catalogs import make_catalog
from tests.fixtures.makers.tiny_models import build_tokenizer
from utils.analyzer.start_losses import choose_start, start_loss
from utils.catalog.catalog import StartLoss, catalog_path, load_catalog, save_catalog
from utils.live.service import LiveService
from utils.models.loading import LoadedModel, load_model
from utils.models.start_tokens import start_candidates, tokenizers_habit
from utils.models.store import ModelStore


def with_choice(folder: Path, loaded: LoadedModel, bos_id: int | None, measured: bool = True) -> None:
    """Save a catalog of the model that names this start token."""
    catalog = make_catalog(loaded.name, loaded.geometry.n_layers, loaded.geometry.n_heads, {})
    losses = [StartLoss(bos_id=bos_id, token="", loss=1.0)] if measured else None
    settings = catalog.settings.model_copy(update={"bos_id": bos_id, "start_losses": losses})
    save_catalog(catalog.model_copy(update={"settings": settings}), folder)


def test_candidates_are_nothing_and_each_special_token_once() -> None:
    tokenizer = build_tokenizer()
    assert start_candidates(tokenizer) == [None, 0]
    assert tokenizers_habit(tokenizer) is None and tokenizers_habit(build_tokenizer(starts=True)) == 0


def test_the_best_candidate_is_chosen_and_all_losses_are_kept(
    tiny_model: Callable[[str], LoadedModel],
) -> None:
    loaded = tiny_model("qwen2")
    assert loaded.start_open and loaded.bos_id is None and not loaded.bos_added
    chosen, losses = choose_start(loaded)
    assert losses is not None and [entry.bos_id for entry in losses] == [None, 0]
    best = min(losses, key=lambda entry: entry.loss)
    assert chosen.bos_id == best.bos_id and chosen.bos_added == (best.bos_id is not None)
    assert start_loss(loaded, 0) == pytest.approx(losses[1].loss, abs=1e-5)


def test_where_convention_or_tokenizer_decides_nothing_is_measured(tiny_gpt2: LoadedModel) -> None:
    assert choose_start(tiny_gpt2) == (tiny_gpt2, None)


def test_a_catalogs_choice_is_followed_and_a_later_one_too(
    tiny_model: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    service = LiveService(ModelStore([tiny_model("qwen2").path]), tmp_path)
    (name,) = service.store.names()
    loaded = service.store.get(name)
    assert service.analyze(name, "The cat").prompt.ids[0] != 0
    with_choice(tmp_path, loaded, 0)
    prompt = service.analyze(name, "The cat").prompt
    assert prompt.ids[0] == 0 and prompt.start_added and prompt.labels[0] == "<|endoftext|>"
    assert service.store.get(name) is not loaded
    # The same catalog again reads nothing anew.
    again = service.store.get(name)
    assert service.analyze(name, "A dog").loaded is again


def test_a_choice_that_is_none_or_of_another_model_does_not_count(
    tiny_model: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    loaded = tiny_model("qwen2")
    name, folder = loaded.name, loaded.path
    with_choice(tmp_path, loaded, 0, measured=False)
    assert load_model(name, folder, catalogs=tmp_path).bos_id is None
    with_choice(tmp_path, loaded, 0)
    assert load_model(name, folder, catalogs=tmp_path).bos_id == 0
    path = catalog_path(name, tmp_path)
    data = json.loads(path.read_text(encoding="utf-8"))
    data["settings"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(data), encoding="utf-8")
    assert load_catalog(path).settings.bos_id == 0
    assert load_model(name, folder, catalogs=tmp_path).bos_id is None
