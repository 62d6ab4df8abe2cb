"""What the presets and lessons say of the bundled models is true, each claim computed on them.

Claims that a file states as data (`effect`, `shows`, `roles`) are checked for every preset; what only its
text says has a test of its own below.
"""

import pytest
import torch

from tests.forward_counter import counting_forwards
from utils.head_facts import token_of_text
from utils.head_roles import ROLES
from utils.heads import Head
from utils.lessons import LessonSet, load_lessons, state_at
from utils.live_analysis import LiveAnalysis, LiveService
from utils.model_store import ModelStore
from utils.page_state import PageState
from utils.prepared_presets import PreparedPresets, PresetEffect
from utils.presets import LEAST_EFFECT, OpenPreset, Preset, load_presets
from utils.random_sets import compare_with_random

MODELS = ("demo-gpt2", "demo-llama")
PRESETS = load_presets()
LESSONS: LessonSet = load_lessons(presets=PRESETS)
ON_MODELS = [(preset, model) for preset in PRESETS.presets for model in preset.model or MODELS]
# Their point is that the head does something else here than its role says.
OTHERWISE = {"filing", "question-reader"}


@pytest.fixture(scope="module")
def service() -> LiveService:
    return LiveService(ModelStore())


@pytest.fixture(scope="module")
def prepared(service: LiveService) -> PreparedPresets:
    return PreparedPresets(PRESETS, service, MODELS)


def opened(prepared: PreparedPresets, preset: Preset, model: str) -> OpenPreset:
    result = prepared.open(preset.key, model)
    assert result.model == model and result.problems == ()
    return result


def effect_of(prepared: PreparedPresets, key: str, model: str) -> PresetEffect:
    effect = prepared.effect(prepared.open(key, model))
    assert effect is not None
    return effect


def analysis_of(service: LiveService, result: OpenPreset) -> LiveAnalysis:
    return service.analyze(result.model, result.preset.prompt)


def named(keys: list[tuple[Preset, str]]) -> list[str]:
    return [f"{preset.key}-{model}" for preset, model in keys]


on_models = pytest.mark.parametrize(("preset", "model"), ON_MODELS, ids=named(ON_MODELS))


def test_there_are_enough_of_each_kind():
    asking = [preset for preset in PRESETS.presets if preset.question and preset.answer and preset.look_for]
    assert len(asking) >= 12
    assert {role for preset in asking for role in preset.roles} == set(ROLES)
    assert {model for preset in asking for model in preset.model} == set(MODELS)
    assert sum(bool(preset.ablate) for preset in PRESETS.presets) >= 6
    for preset in PRESETS.presets:
        assert bool(preset.ablate) == bool(preset.effect), f"{preset.key}: what is switched off has an effect"


@on_models
def test_its_heads_are_there_and_its_roles_are_active(
    service: LiveService, prepared: PreparedPresets, preset: Preset, model: str
):
    result = opened(prepared, preset, model)
    summary = analysis_of(service, result).summary
    active = {role for role, entries in summary.items() if any(entry["is_active"] for entry in entries)}
    expected = {role for role in preset.roles if ROLES[role].measured}
    if preset.key in OTHERWISE:
        assert not expected & active
    else:
        assert expected <= active
        if preset.head is not None and ROLES[preset.head.role].measured:
            (entry,) = (
                entry
                for entry in summary[preset.head.role]
                if Head(entry["layer"], entry["head"]) == result.revealed.head
            )
            assert entry["is_active"], entry["reason"]


def places(labels: tuple[str, ...], text: str) -> list[int]:
    """Where a token of this text is; a dot in front asks for the token with its space."""
    exact = [place for place, label in enumerate(labels) if label == text]
    loose = [place for place, label in enumerate(labels) if label.strip("·") == text]
    return exact if text.startswith("·") else loose


@on_models
def test_its_head_looks_where_it_says(
    service: LiveService, prepared: PreparedPresets, preset: Preset, model: str
):
    result = opened(prepared, preset, model)
    analysis = analysis_of(service, result)
    for look in preset.shows:
        assert result.revealed.head is not None
        source, at = (places(analysis.prompt.labels, text) for text in (look.source, look.at))
        assert source and at, f"the prompt has no token {look.source} or {look.at}"
        share = float(analysis.attention[result.revealed.head][source[-1], at].sum())
        assert look.at_least <= share <= look.at_most, f"{look.source} looks at {look.at} with {share:.2f}"


ABLATING = [(preset, model) for preset, model in ON_MODELS if preset.effect]


@pytest.mark.parametrize(("preset", "model"), ABLATING, ids=named(ABLATING))
def test_switching_off_does_what_it_says_and_more_than_random_heads(
    prepared: PreparedPresets, preset: Preset, model: str
):
    effect = effect_of(prepared, preset.key, model)
    assert preset.effect is not None and preset.effect.at_least >= LEAST_EFFECT
    assert len(effect.random) == 100 and effect.comparison.random.moved == 0
    tested = set(effect.comparison.heads)
    assert not any(tested & set(drawn) for drawn in effect.comparison.random.sets)
    drop = effect.clean - effect.ablated
    assert drop >= preset.effect.at_least
    assert drop > effect.clean - effect.median


@on_models
def test_its_target_is_a_token_that_the_model_can_say(
    service: LiveService, prepared: PreparedPresets, preset: Preset, model: str
):
    analysis = analysis_of(service, opened(prepared, preset, model))
    for text in (preset.target, preset.against, preset.effect_token):
        if text is None:
            continue
        token = token_of_text(analysis.loaded, text)
        assert token is not None and analysis.loaded.text_tokenizer.decode([token]).strip() == text


def probability(service: LiveService, state: PageState, off: frozenset[Head] = frozenset()) -> float:
    """Of the state's target after its prompt."""
    assert state.model and state.prompt
    loaded = service.store.get(state.model)
    token = token_of_text(loaded, state.target)
    assert token is not None
    logits = service.next_token_logits(state.model, state.prompt, off)
    return float(logits.softmax(-1)[token])


LESSON_EFFECTS = [
    (lesson.key, number, model)
    for lesson in LESSONS.lessons
    for model in lesson.model or MODELS
    for number, step in enumerate(lesson.steps, 1)
    if step.effect
]


@pytest.mark.parametrize(("key", "number", "model"), LESSON_EFFECTS)
def test_what_a_lesson_switches_off_has_the_effect_that_it_says(
    service: LiveService, key: str, number: int, model: str
):
    lesson, catalog = LESSONS.get(key), service.catalog(model)
    state, problems = state_at(lesson, number, PRESETS, model, catalog)
    off = state_at(lesson, number + 1, PRESETS, model, catalog)[0].ablated
    effect = lesson.step(number).effect
    assert problems == [] and effect is not None and off and state.prompt and state.target
    loaded = service.store.get(model)
    ids = service.tokenize(model, state.prompt).ids
    target = token_of_text(loaded, effect.token or state.target)
    beside = compare_with_random(loaded, ids, off, target=target, draws=100).contrasts["probability"]
    assert -beside.tested >= effect.at_least >= LEAST_EFFECT
    assert beside.tested < beside.median


@pytest.mark.parametrize("lesson", LESSONS.lessons, ids=lambda lesson: lesson.key)
def test_every_step_of_a_lesson_can_be_opened_on_its_models(service: LiveService, lesson):
    for model in lesson.model or MODELS:
        for number in range(1, len(lesson.steps) + 1):
            state, problems = state_at(lesson, number, PRESETS, model, service.catalog(model))
            assert problems == []
            assert state.prompt and service.analyze(model, state.prompt)


# What only the texts say.


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
        source, at = (places(analysis.prompt.labels, text) for text in ("·The", "·cat"))
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
            summary = service.analyze(model, prompt).summary
            gray = {
                role
                for role, entries in summary.items()
                if ROLES[role].measured and not any(entry["is_active"] for entry in entries)
            }
            assert gray == {"induction", "duplicate_token"}


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


def test_opening_any_of_them_needs_no_forward(prepared: PreparedPresets, service: LiveService):
    prepared.prepare()
    assert prepared.problems == ()
    with counting_forwards() as count:
        for preset, model in ON_MODELS:
            assert prepared.is_ready(preset.key, model)
            result = prepared.open(preset.key, model)
            prepared.effect(result)
            for state in (result.asked, result.revealed):
                service.analyze(model, preset.prompt)
                service.next_token_logits(model, preset.prompt, state.ablated or (), state.mode or "zero")
        assert count.passes == 0
        service.analyze(MODELS[0], "A text that nobody has prepared.")
        assert count.passes == 1
