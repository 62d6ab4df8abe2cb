"""The analyzer finds heads by what they write: those built for it and no other; and the real model's."""

from pathlib import Path

import pytest
import torch

from scripts.analyze_heads import main as analyze
from tests.fixtures.makers.hand_built import (
    COPYING,
    N_HEADS,
    N_LAYERS,
    NAME,
    SUPPRESSING,
    save_hand_built,
)
from utils.analyzer.measuring_outputs import measure_outputs, output_pieces, read_outputs, score_outputs
from utils.catalog.catalog import Catalog, catalog_path, load_catalog
from utils.catalog.check import catalog_problems
from utils.forward.attention_capture import capture
from utils.head_detection import activation_reason, get_active_head_summary, verify_head_activation
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import tokenize_prompt
from utils.models.sources import REAL_MODEL
from utils.roles.output_probes import OutputProbe, output_probes
from utils.roles.registry import ROLES, output_roles
from utils.writing.attribution import own_token_effects

BUILT = {"copying": COPYING, "copy_suppression": SUPPRESSING}
TEXT = "spin by: sp"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writing")
    save_hand_built(folder / NAME, suppressing=True)
    options = ["--sequences", "12", "--output", str(folder)]
    assert analyze(["--model", str(folder / NAME), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def catalog(folder: Path) -> Catalog:
    return load_catalog(catalog_path(NAME, folder))


@pytest.fixture(scope="module")
def built(folder: Path) -> LoadedModel:
    return load_model(NAME, folder / NAME)


@pytest.mark.parametrize("role", BUILT)
def test_the_head_built_for_it_is_found_and_no_other(catalog: Catalog, role: str) -> None:
    listed = [Head(entry.layer, entry.head) for entry in catalog.categories[role].top_heads]
    assert listed == [BUILT[role]]
    scores = torch.tensor(catalog.all_scores[role])
    assert float(scores[BUILT[role]]) > 2 * ROLES[role].threshold
    scores[BUILT[role]] = 0
    assert float(scores.max()) < ROLES[role].threshold / 4
    assert (float(torch.tensor(catalog.output_factors[role].effect)[BUILT[role]]) > 0) == (role == "copying")


def test_the_catalog_agrees_with_itself(catalog: Catalog, folder: Path) -> None:
    assert catalog_problems(catalog_path(NAME, folder)) == []
    assert catalog.settings.counted["completions"] == catalog.settings.inputs["completions"].sequences == 12
    assert catalog.settings.counted["repeated_words"] == 12
    for role in output_roles():
        factors = catalog.output_factors[role]
        assert len(factors.mass) == N_LAYERS and len(factors.effect[0]) == N_HEADS


def test_the_public_functions_need_the_heads_output(built: LoadedModel, folder: Path) -> None:
    ids = tokenize_prompt(built, TEXT).ids
    captured = capture(built, ids, stream=True)
    assert captured.stream is not None
    data = {"attention": captured.attention, "tokens": ids}
    for role, head in BUILT.items():
        (entry,) = get_active_head_summary(data, NAME, folder)[role]
        assert not entry["is_active"] and entry["activation_score"] == 0
        assert entry["reason"].startswith("needs the head's output")
        pattern = captured.attention[head]
        score = verify_head_activation(pattern, ids, {"layer": head.layer, "head": head.head}, role)
        assert score == 0 and activation_reason(ids, {}, role) == "needs the head's output"
    effects = own_token_effects(built, captured.stream, ids)
    answer = int(captured.logits[-1].argmax())
    outputs = {"effects": effects, "next_token": answer}
    summary = get_active_head_summary(data | {"outputs": outputs}, NAME, folder)
    for role, head in BUILT.items():
        (entry,) = summary[role]
        assert entry["is_active"] and Head(entry["layer"], entry["head"]) == head
        assert entry["mass"] > 0.15 and (entry["effect"] > 0.5) == (role == "copying")
        info = {"effects": effects[head], "next_token": answer, "special_ids": built.special_ids}
        score = verify_head_activation(captured.attention[head], ids, info, role)
        assert score == pytest.approx(entry["activation_score"])
        assert activation_reason(ids, info, role) == ""
    with pytest.raises(ValueError, match="next_token"):
        get_active_head_summary(data | {"outputs": {"effects": effects}}, NAME, folder)
    with pytest.raises(ValueError, match="effects must have the shape"):
        get_active_head_summary(
            data | {"outputs": {"effects": effects[:, :1], "next_token": 3}}, NAME, folder
        )


def test_only_what_the_model_gets_right_counts(built: LoadedModel) -> None:
    ids = tokenize_prompt(built, TEXT).ids
    right = built.tokenizer.convert_tokens_to_ids("i")
    assert isinstance(right, int)
    assert score_outputs(built, OutputProbe(ids, right)) is not None
    assert score_outputs(built, OutputProbe(ids, right + 1)) is None
    assert score_outputs(built, OutputProbe(ids, None)) is not None
    nothing = measure_outputs(built, {"completions": [OutputProbe(ids, right + 1)]})
    assert all(not found.mean.any() for found in nothing.values())
    assert nothing["copying"].counted == {"names": 0, "completions": 0}


def test_progress_counts_all_pieces(tiny_gpt2: LoadedModel) -> None:
    told: list[tuple[int, int]] = []
    found = read_outputs(
        tiny_gpt2, sequences=2, progress=lambda what, done, total: told.append((done, total))
    )
    assert told[-1][0] == len(told) and told[-1][1] == output_pieces(2) >= told[-1][0]
    assert set(found.measured) == set(output_roles()) and found.counted["repeated_words"] == 2


def test_the_probes_are_seeded_and_know_their_answers(tiny_gpt2: LoadedModel) -> None:
    tokenizer = tiny_gpt2.tokenizer
    names = output_probes("names", tokenizer, 0, seed=1, count=5)
    assert names == output_probes("names", tokenizer, 0, seed=1, count=5)
    assert names != output_probes("names", tokenizer, 0, seed=2, count=5)
    for probe in output_probes("completions", tokenizer, 0, {0}, count=3):
        half = probe.ids[1:26]
        assert probe.ids[26:] == half[:-1] and probe.answer == half[-1]
    assert all(probe.answer is None for probe in output_probes("repeated_words", tokenizer, 0))
    assert output_probes("completions", tokenizer, 0, {0}, context_length=20) == []
    with pytest.raises(ValueError, match="probe set must be one of"):
        output_probes("natural", tokenizer, 0)


def test_the_real_model_has_heads_of_both_roles(service: LiveService) -> None:
    catalog = service.catalog(REAL_MODEL)
    assert catalog is not None
    assert Head(23, 0) in [Head(entry.layer, entry.head) for entry in catalog.categories["copying"].top_heads]
    suppressing = [
        Head(entry.layer, entry.head) for entry in catalog.categories["copy_suppression"].top_heads
    ]
    assert Head(23, 3) in suppressing
    assert catalog.output_factors["copy_suppression"].effect[23][3] < -1
