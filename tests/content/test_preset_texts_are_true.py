"""What only the texts of presets and lessons say of the bundled models is true, a test each."""

import torch

from tests.fixtures.preset_claims import LESSONS, MODELS, PRESETS, effect_of, positions_of, probability
from utils.heads import Head
from utils.links.page_state import PageState
from utils.live.service import LiveService
from utils.models.prompts import token_of_text
from utils.roles.registry import ROLES
from utils.teaching.lessons import state_at
from utils.teaching.prepared_presets import PreparedPresets


def test_the_first_induction_head_halves_the_ring_and_all_of_them_take_it_away(
    service: LiveService, prepared: PreparedPresets
):
    for model in MODELS:
        effect = effect_of(prepared, "golden-ring", model)
        assert 0.35 < effect.ablated / effect.clean < 0.65
        state = prepared.open("golden-ring", model).revealed
        every = {Head(entry.layer, entry.head) for entry in _listed(service, model, "induction")}
        assert probability(service, state, frozenset(every)) < 0.02


def _listed(service: LiveService, model: str, role: str):
    catalog = service.catalog(model)
    assert catalog is not None
    return catalog.categories[role].top_heads


def test_four_random_heads_hardly_ever_do_as_much_to_the_cat(prepared: PreparedPresets):
    effect = effect_of(prepared, "black-cat", "demo-gpt2")
    assert effect.clean > 0.7 and effect.ablated < 0.1
    assert effect.clean - effect.median > 0.1, "they often do a lot"
    assert effect.comparison.contrasts["probability"].share_as_strong <= 0.05


def test_one_of_eight_induction_heads_is_not_missed(service: LiveService, prepared: PreparedPresets):
    state = prepared.open("backup-heads", "demo-llama").revealed
    assert len(_listed(service, "demo-llama", "induction")) == 8
    assert state.head is not None and state.ablated is not None and len(state.ablated) == 8
    assert probability(service, state) > 0.98
    assert probability(service, state, frozenset({state.head})) > 0.98
    effect = effect_of(prepared, "backup-heads", "demo-llama")
    assert effect.ablated < 0.01 and effect.median > 0.8


def test_previous_token_heads_sit_below_the_induction_heads(service: LiveService):
    for model in MODELS:
        first = [entry.layer for entry in _listed(service, model, "previous_token")[:3]]
        assert set(first) == {0}
        assert {entry.layer for entry in _listed(service, model, "induction")} == {1}


def test_without_its_head_the_model_answers_with_the_other_state(
    service: LiveService, prepared: PreparedPresets
):
    state = prepared.open("filing", "demo-gpt2").revealed
    assert state.model and state.prompt and state.ablated
    loaded = service.store.get(state.model)
    off = service.next_token_logits(state.model, state.prompt, state.ablated)
    assert int(off.argmax()) == token_of_text(loaded, "Ohio")


def test_one_head_of_64_reads_the_question(service: LiveService, prepared: PreparedPresets):
    state = prepared.open("question-reader", "demo-llama").revealed
    assert state.model and state.prompt and state.ablated and len(state.ablated) == 1
    everything = [Head(layer, head) for layer in range(4) for head in range(16)]
    clean = probability(service, state)
    losing = [head for head in everything if probability(service, state, frozenset({head})) < clean / 2]
    assert clean > 0.99 and frozenset(losing) == state.ablated
    loaded = service.store.get(state.model)
    off = service.next_token_logits(state.model, state.prompt, state.ablated)
    # Numbers are written digit by digit, after a space.
    assert loaded.text_tokenizer.decode([int(off.argmax())]) == " "


def test_random_heads_leave_the_animals_alone(prepared: PreparedPresets):
    effect = effect_of(prepared, "animal-list", "demo-llama")
    assert effect.ablated < 0.1 and effect.median > 0.9


def test_no_other_head_of_its_layer_matters_as_much_as_the_diffuse_one(prepared: PreparedPresets):
    effect = effect_of(prepared, "spread-out-matters", "demo-gpt2")
    assert effect.clean - effect.ablated > max(effect.clean - value for value in effect.random)


def test_the_head_finds_the_mat_but_the_model_hardly_expects_it(
    service: LiveService, prepared: PreparedPresets
):
    for model in MODELS:
        assert probability(service, prepared.open("cat-on-the-mat", model).revealed) < 0.1


def test_the_other_model_treats_the_two_tokens_alike(service: LiveService):
    for model, least, most in (("demo-gpt2", 0.0, 0.4), ("demo-llama", 0.7, 1.0)):
        analysis = service.analyze(model, PRESETS.get("two-tokens-one-word").prompt)
        entry = _listed(service, model, "induction")[0]
        source, at = (positions_of(analysis.prompt.labels, text) for text in ("·The", "·cat"))
        share = float(analysis.attention[entry.layer, entry.head][source[-1], at].sum())
        assert least <= share <= most
        assert "The" in analysis.prompt.labels


def test_without_a_pattern_no_word_is_expected(service: LiveService):
    preset = PRESETS.get("other-gold")
    assert preset.compare_with and preset.compare_with.split()[-6:] == preset.prompt.split()[-6:]
    for model in MODELS:
        logits = service.analyze(model, preset.compare_with).logits
        assert float(logits.softmax(-1).max()) < 0.05
        assert probability(service, PageState(model=model, prompt=preset.prompt, target="ring")) > 0.2


def test_the_story_leaves_two_roles_with_nothing_to_do(service: LiveService):
    lesson = LESSONS.get("what-a-head-does")
    for prompt in (PRESETS.get("story").prompt, lesson.step(1).prompt):
        assert prompt
        for model in MODELS:
            summary = service.analyze(model, prompt).listed
            inactive = {
                role
                for role, entries in summary.items()
                if ROLES[role].measured and not any(entry.is_active for entry in entries)
            }
            assert inactive == {"induction", "duplicate_token"}


def test_the_lessons_numbers(service: LiveService):
    catalog = service.catalog("demo-llama")
    lesson = LESSONS.get("which-heads-matter")
    state = state_at(lesson, 7, PRESETS, "demo-llama", catalog)[0]
    off = state_at(lesson, 8, PRESETS, "demo-llama", catalog)[0].ablated
    assert off and len(off) == 1
    assert abs(probability(service, state, off) - probability(service, state)) < 0.01
    geometry = service.store.get("demo-llama").geometry
    assert geometry.n_layers * geometry.n_heads == 64
    induction = LESSONS.get("induction")
    ring = state_at(induction, 2, PRESETS, "demo-llama", catalog)[0]
    assert ring.prompt
    probabilities = service.analyze("demo-llama", ring.prompt).logits.softmax(-1)
    best = torch.topk(probabilities, 2).values
    assert probability(service, ring) == float(best[0]) and best[0] > 5 * best[1]
    # "ring" is gone, and nothing has taken its place.
    after = state_at(induction, 10, PRESETS, "demo-llama", catalog)[0]
    assert after.ablated and after.prompt
    left = service.next_token_logits("demo-llama", after.prompt, after.ablated).softmax(-1)
    assert float(left.max()) < 0.1
