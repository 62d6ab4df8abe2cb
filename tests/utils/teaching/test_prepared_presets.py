"""Presets that are computed beforehand, on the tiny models: kept for good, compared with random sets."""

from pathlib import Path

import pytest
import torch

from tests.fixtures.catalogs import write_catalog
from tests.fixtures.forward_counter import counting_forwards
from utils.errors import UserFacingError
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.live import service as live_service
from utils.live.service import LiveService
from utils.models.store import ModelStore
from utils.runtime.jobs import CancelledError
from utils.teaching.prepared_presets import WHAT, PreparedPresets
from utils.teaching.presets import load_presets

GPT2, LLAMA = "tiny-gpt2", "tiny-llama"
OFF = {Head(1, 2), Head(0, 1)}
PRESETS = {
    "plain": "title: Plain\nprompt: The cat sat\n",
    "asks": (
        "title: Asks\nmodel: tiny-gpt2\nprompt: The cat sat on the cat\nhead: induction 1\n"
        "ablate: [induction 1, previous_token 1]\ntarget: mat\nquestion: What?\norder: 1\n"
    ),
    "middle": (
        "title: Middle\nmodel: tiny-gpt2\nprompt: The cat sat on the cat\nablate: induction 1\nmode: mean\n"
        "position: 3\nview: positions\ncompare_with: A dog\norder: 2\n"
    ),
    "elsewhere": "title: Elsewhere\nmodel: gone\nprompt: The cat sat\norder: 3\n",
    "lacking": "title: Lacking\nmodel: tiny-llama\nprompt: The cat sat\nhead: induction 1\norder: 4\n",
    "too-long": f"title: Too long\nmodel: tiny-gpt2\nprompt: {'cat ' * 200}\norder: 5\n",
}


@pytest.fixture(scope="module")
def store(tiny_models_folder: Path) -> ModelStore:
    return ModelStore([tiny_models_folder])


@pytest.fixture
def service(store: ModelStore, tmp_path: Path) -> LiveService:
    catalogs = tmp_path / "catalogs"
    listed = {"induction": [(Head(1, 2), 0.6)], "previous_token": [(Head(0, 1), 0.5)]}
    write_catalog(catalogs, GPT2, 3, 4, listed)
    return LiveService(store, catalogs)


@pytest.fixture
def prepared(service: LiveService, tmp_path: Path) -> PreparedPresets:
    folder = tmp_path / "presets"
    folder.mkdir()
    for name, text in PRESETS.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    presets = load_presets(folder)
    assert presets.problems == ()
    return PreparedPresets(presets, service, [GPT2, LLAMA])


def test_what_was_prepared_needs_no_forward(
    prepared: PreparedPresets, service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared.prepare()
    # However much others ask for afterwards.
    for number in range(5):
        service.analyze(GPT2, f"The cat sat {number}")
    with counting_forwards() as count:
        for key, model in (("plain", GPT2), ("plain", LLAMA), ("asks", GPT2), ("middle", GPT2)):
            opened = prepared.open(key, model)
            assert opened.model == model and prepared.is_ready(key, model)
            prepared.effect(opened)
            for state in (opened.asked, opened.revealed):
                off, mode = state.ablated or (), opened.preset.mode
                service.analyze(model, opened.preset.prompt)
                service.next_token_logits(model, opened.preset.prompt, off, mode)
                if state.view == "positions":
                    service.position_logits(model, opened.preset.prompt, off, mode)
        service.analyze(GPT2, "A dog")
        assert count.passes == 0


def test_it_stays_when_the_caches_overflow(
    store: ModelStore, prepared: PreparedPresets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_service, "CACHE_BYTES", 20_000)
    small = LiveService(store, prepared.service.catalog_folder)
    again = PreparedPresets(prepared.presets, small, [GPT2])
    again.prepare()
    opened = again.open("asks", GPT2)
    for number in range(50):
        small.next_token_logits(GPT2, f"The dog looked at the cat {number}", OFF)
    with counting_forwards() as count:
        small.analyze(GPT2, opened.preset.prompt)
        small.next_token_logits(GPT2, opened.preset.prompt, OFF)
        assert count.passes == 0
        small.analyze(GPT2, "The dog looked at the cat 0")
        assert count.passes == 1


def test_the_effect_is_that_of_switching_off(prepared: PreparedPresets, service: LiveService) -> None:
    opened = prepared.open("asks", None)
    effect = prepared.effect(opened)
    assert effect is not None
    loaded = service.store.get(GPT2)
    ids = service.tokenize(GPT2, opened.preset.prompt).ids
    clean, off = (capture(loaded, ids, heads).logits[-1].softmax(-1) for heads in ((), OFF))
    token = effect.comparison.target
    assert effect.label == "·mat" and set(effect.comparison.heads) == OFF
    assert effect.clean == pytest.approx(float(clean[token]), abs=1e-6)
    assert effect.ablated == pytest.approx(float(off[token]), abs=1e-6)
    assert len(effect.random) == 100 and min(effect.random) <= effect.median <= max(effect.random)
    for drawn, value in zip(effect.comparison.random.sets[:3], effect.random, strict=False):
        assert sorted(head.layer for head in drawn) == [0, 1] and not set(drawn) & OFF
        expected = capture(loaded, ids, drawn).logits[-1].softmax(-1)[token]
        assert value == pytest.approx(float(expected), abs=1e-6)


def test_the_effect_is_asked_for_where_and_how_the_preset_says(
    prepared: PreparedPresets, service: LiveService
) -> None:
    opened = prepared.open("middle", None)
    effect = prepared.effect(opened)
    assert effect is not None
    loaded = service.store.get(GPT2)
    ids = service.tokenize(GPT2, opened.preset.prompt).ids
    clean = capture(loaded, ids).logits[3]
    off = capture(loaded, ids, {Head(1, 2)}, "mean").logits[3]
    assert effect.comparison.target == int(clean.argmax())
    assert effect.clean == pytest.approx(float(clean.softmax(-1).max()), abs=1e-6)
    assert effect.ablated == pytest.approx(float(off.softmax(-1)[int(clean.argmax())]), abs=1e-6)
    assert torch.equal(service.position_logits(GPT2, opened.preset.prompt)[3], clean)


def test_the_effect_in_words(prepared: PreparedPresets, monkeypatch: pytest.MonkeyPatch) -> None:
    asks, middle = (prepared.effect(prepared.open(key, None)) for key in ("asks", "middle"))
    assert asks is not None and middle is not None
    assert asks.sentence.startswith(
        "Without the first induction head and the first previous-token head “mat” goes from "
    )
    assert asks.different_sets == 9 and middle.different_sets == 3
    # Too few sets for a middle that means something.
    few = "Without 2 other heads of their layers (9 different sets, chosen by chance) it is between "
    assert few in asks.sentence and "in the middle" not in asks.sentence
    assert "Without another head of the same layer (3 different sets" in middle.sentence
    monkeypatch.setattr("utils.teaching.prepared_presets.MIN_DISTINCT", 9)
    assert "Without 2 other heads of their layers, chosen by chance 100 times, it is " in asks.sentence
    assert " in the middle (from " in asks.sentence and asks.sentence.endswith("%).")


def test_where_few_sets_are_possible_it_says_so(prepared: PreparedPresets, tmp_path: Path) -> None:
    listed = {"induction": [(Head(1, 0), 0.6), (Head(1, 1), 0.6)]}
    write_catalog(prepared.service.catalog_folder, GPT2, 3, 4, listed)
    preset = "title: Half\nmodel: tiny-gpt2\nprompt: The cat sat\nablate: all induction heads\n"
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "half.yaml").write_text(preset, encoding="utf-8")
    half = PreparedPresets(load_presets(folder), prepared.service, [GPT2])
    effect = half.effect(half.open("half", None))
    assert effect is not None and effect.different_sets == 1
    assert "Without 2 other heads of the same layer (there is only one such set) it is " in effect.sentence


def test_what_cannot_be_prepared_is_named_and_the_others_go_on(prepared: PreparedPresets) -> None:
    prepared.prepare()
    lacking, too_long = prepared.problems
    assert lacking.startswith("Preset lacking on tiny-llama: The first induction head cannot be found")
    assert too_long.startswith("Preset too-long on tiny-gpt2: The prompt has ")
    assert prepared.is_ready("lacking", LLAMA) and not prepared.is_ready("too-long", GPT2)
    with pytest.raises(UserFacingError, match=r"“Elsewhere” is made for gone, which is not here"):
        prepared.open("elsewhere", GPT2)
    with pytest.raises(UserFacingError, match="There is no preset named"):
        prepared.open("nothing", GPT2)


def test_a_preset_that_was_not_prepared_is_computed_when_it_is_opened(prepared: PreparedPresets) -> None:
    assert not prepared.is_ready("asks", GPT2)
    with counting_forwards() as count:
        assert prepared.effect(prepared.open("asks", GPT2)) is not None
        assert count.passes > 0
        passes = count.passes
        assert prepared.effect(prepared.open("asks", GPT2)) is not None
        assert count.passes == passes
    assert prepared.effect(prepared.open("plain", GPT2)) is None


def test_a_catalog_that_was_made_again_gives_other_heads(prepared: PreparedPresets) -> None:
    before = prepared.effect(prepared.open("asks", GPT2))
    listed = {"induction": [(Head(2, 3), 0.6)], "previous_token": [(Head(0, 1), 0.5)]}
    write_catalog(prepared.service.catalog_folder, GPT2, 3, 4, listed)
    opened = prepared.open("asks", GPT2)
    after = prepared.effect(opened)
    assert opened.revealed.ablated == {Head(2, 3), Head(0, 1)}
    assert before is not None and after is not None
    assert set(before.comparison.heads) == OFF and set(after.comparison.heads) == opened.revealed.ablated


def test_opening_loads_no_model(tiny_models_folder: Path, prepared: PreparedPresets) -> None:
    fresh = LiveService(ModelStore([tiny_models_folder]), prepared.service.catalog_folder)
    opened = PreparedPresets(prepared.presets, fresh, [GPT2]).open("asks", None)
    assert opened.revealed.ablated == OFF and opened.revealed.head == Head(1, 2)
    assert not fresh.store.is_loaded(GPT2)


def test_progress_is_told_and_can_stop_it(prepared: PreparedPresets) -> None:
    message: list[tuple[str, int, int]] = []
    prepared.prepare(lambda *step: message.append(step))
    # plain on both models, asks, middle, lacking and too-long on one each.
    assert message == [(WHAT, done, 6) for done in range(7)]

    def stop(what: str, done: int, total: int) -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        prepared.prepare(stop)


def test_what_else_a_view_shows_can_be_computed_too(prepared: PreparedPresets) -> None:
    seen: list[tuple[str, str]] = []
    also = PreparedPresets(
        prepared.presets,
        prepared.service,
        [GPT2],
        lambda opened: seen.append((opened.preset.key, opened.model)),
    )
    also.prepare()
    assert seen == [("asks", GPT2), ("middle", GPT2), ("plain", GPT2)]
