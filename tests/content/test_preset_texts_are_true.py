"""What only the texts of presets and lessons say of the bundled models is true, a test each."""

import torch

from study.data.results_folder import DEFAULT_FOLDER
from study.tables.columns import load_table
from tests.fixtures.preset_claims import LESSONS, PRESETS, effect_of, positions_of, probability
from utils.catalog.rankings import catalog_rankings, retrieval_heads
from utils.effects.effect_map import EffectMap, effect_map
from utils.effects.random_sets import compare_with_random
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.links.page_state import PageState
from utils.live.service import LiveService
from utils.models.prompts import token_of_text
from utils.models.sources import REAL_MODEL
from utils.roles.registry import ROLES
from utils.teaching.lessons import state_at
from utils.teaching.prepared_presets import PreparedPresets

# The models of the presets that speak of all tiny models.
TINY = ("demo-gpt2", "demo-llama")


def test_the_first_induction_head_halves_the_ring_and_all_of_them_take_it_away(
    service: LiveService, prepared: PreparedPresets
):
    for model in TINY:
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
    share = effect.comparison.contrasts["probability"].share_as_strong
    assert share is not None and share <= 0.05


def test_one_of_eight_induction_heads_is_not_missed(service: LiveService, prepared: PreparedPresets):
    state = prepared.open("backup-heads", "demo-llama").revealed
    assert len(_listed(service, "demo-llama", "induction")) == 8
    assert state.head is not None and state.ablated is not None and len(state.ablated) == 8
    assert probability(service, state) > 0.98
    assert probability(service, state, frozenset({state.head})) > 0.98
    effect = effect_of(prepared, "backup-heads", "demo-llama")
    assert effect.ablated < 0.01 and effect.median > 0.8


def test_previous_token_heads_sit_below_the_induction_heads(service: LiveService):
    for model in TINY:
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
    for model in TINY:
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
    for model in TINY:
        logits = service.analyze(model, preset.compare_with).logits
        assert float(logits.softmax(-1).max()) < 0.05
        assert probability(service, PageState(model=model, prompt=preset.prompt, target="ring")) > 0.2


def test_the_story_leaves_two_roles_with_nothing_to_do(service: LiveService):
    lesson = LESSONS.get("what-a-head-does")
    for prompt, models in ((PRESETS.get("story").prompt, TINY), (lesson.step(1).prompt, (REAL_MODEL,))):
        assert prompt
        for model in models:
            summary = service.analyze(model, prompt).listed
            inactive = {
                role
                for role, entries in summary.items()
                if ROLES[role].measured and entries and not any(entry.is_active for entry in entries)
            }
            assert inactive - {"copy_suppression"} == {"induction", "duplicate_token", "copying"}
    assert _listed(service, "demo-gpt2", "positional") == []


def test_what_a_head_does_shows_a_line_and_a_spread(service: LiveService):
    geometry = service.store.get(REAL_MODEL).geometry
    assert (geometry.n_layers, geometry.n_heads) == (30, 9)
    labels, line = _attention(service, _lesson_state("what-a-head-does", 4, service))
    assert len(set(labels)) == len(labels) and labels[0] == "<|endoftext|>" and {"The", "·the"} <= set(labels)
    assert all(line[row, row - 1] > 0.5 for row in range(1, len(labels)))
    state = _lesson_state("what-a-head-does", 8, service)
    _, spread = _attention(service, state)
    assert float(spread[2:].max()) < 0.5, "after the first word"
    off = _lesson_state("what-a-head-does", 9, service).ablated
    assert state.prompt and off and len(off) == 1
    change = _probabilities(service, state, off) - _probabilities(service, state)
    assert float(change.abs().max()) < 0.05


def _lesson_state(key: str, number: int, service: LiveService) -> PageState:
    state, problems = state_at(LESSONS.get(key), number, PRESETS, REAL_MODEL, service.catalog(REAL_MODEL))
    assert problems == []
    return state


def _attention(
    service: LiveService, state: PageState, head: Head | None = None
) -> tuple[tuple[str, ...], torch.Tensor]:
    """The labels of the state's prompt, and where a head (that of the state) looks."""
    head = head or state.head
    assert state.model and state.prompt and head
    analysis = service.analyze(state.model, state.prompt)
    return analysis.prompt.labels, analysis.attention[head]


def _probabilities(
    service: LiveService, state: PageState, off: frozenset[Head] = frozenset()
) -> torch.Tensor:
    assert state.model and state.prompt
    return service.next_token_logits(state.model, state.prompt, off).softmax(-1)


def _first(service: LiveService, role: str, count: int) -> list[Head]:
    return [Head(entry.layer, entry.head) for entry in _listed(service, REAL_MODEL, role)[:count]]


def _each_alone(service: LiveService, state: PageState) -> EffectMap:
    """The state's target with every head ablated alone."""
    assert state.model and state.prompt
    loaded = service.store.get(state.model)
    target = token_of_text(loaded, state.target)
    return effect_map(loaded, service.tokenize(state.model, state.prompt).ids, target=target)


def _taking_half(alone: EffectMap) -> set[Head]:
    below = (alone.probability < alone.clean_probability / 2).nonzero()
    return {Head(layer, head) for layer, head in below.tolist()}


def _is_listed(service: LiveService, head: Head) -> bool:
    catalog = service.catalog(REAL_MODEL)
    assert catalog is not None
    return any(
        head == Head(entry.layer, entry.head)
        for category in catalog.categories.values()
        for entry in category.top_heads
    )


def test_the_induction_lesson(service: LiveService):
    password = _lesson_state("induction", 4, service)
    best = torch.topk(_probabilities(service, password), 2).values
    assert probability(service, password) == float(best[0]) and best[0] > 5 * best[1]
    labels, attention = _attention(service, password)
    assert attention[-1, labels.index("·seven")] > 0.9
    row = _lesson_state("induction", 6, service)
    best = torch.topk(_probabilities(service, row), 2).values
    assert probability(service, row) == float(best[0]) and best[0] > 5 * best[1]
    after = _lesson_state("induction", 10, service)
    assert after.ablated and len(after.ablated) == 8 and probability(service, after, after.ablated) < 0.01
    left = _probabilities(service, after, after.ablated)
    assert service.store.get(REAL_MODEL).text_tokenizer.decode([int(left.argmax())]) == "."


def test_the_lesson_of_three_heads_that_read_the_filing(service: LiveService):
    loaded, catalog = service.store.get(REAL_MODEL), service.catalog(REAL_MODEL)
    three = catalog_rankings(catalog)["wu24"].order[:3]
    assert catalog is not None and len(catalog.rankings["wu24"]) == 4
    for count, said in (("successful_samples", 138), ("samples_processed", 160)):
        assert sum(int(str(record[count])) for record in catalog.rankings["wu24"]) == said
    assert three[0] == _first(service, "induction", 1)[0] and {head.layer for head in three} == {17, 18}
    assert set(three) <= set(retrieval_heads(catalog))
    found = []
    for number in (5, 9):
        state = _lesson_state("three-heads", number, service)
        assert state.ablated == frozenset(three) and state.prompt and state.target
        token = token_of_text(loaded, state.target)
        ids = service.tokenize(REAL_MODEL, state.prompt).ids
        analysis = service.analyze(REAL_MODEL, state.prompt)
        (at,) = positions_of(analysis.prompt.labels, f"·{state.target}")
        beside = compare_with_random(loaded, ids, three, target=token, draws=100).contrasts["probability"]
        clean, left = probability(service, state), probability(service, state, frozenset(three))
        strong = sum(draw <= beside.tested for draw in beside.draws)
        shares = [round(float(analysis.attention[head][-1, at]), 2) for head in three]
        found.append((round(clean, 2), round(left, 2), strong, shares))
        assert int(_probabilities(service, state, frozenset(three)).argmax()) == token
        if number == 5:
            assert -beside.median < 0.04
            alone = probability(service, state, frozenset(three[:1]))
            others = [Head(three[0].layer, head) for head in range(9) if head != three[0].head]
            falls = [clean - probability(service, state, frozenset({head})) for head in others]
            assert round(alone, 2) == 0.42 and 0.05 < max(falls) < 0.06
    assert found == [(0.59, 0.26, 6, [0.87, 0.48, 0.23]), (0.52, 0.43, 10, [0.84, 0.91, 0.96])]
    claim = load_table(DEFAULT_FOLDER, "claim")
    assert {row["k"] for row in claim} == {14} and {row["n"] for row in claim} == {40}
    assert max(row["tested"] for row in claim) == 0.35
    assert round(min(row["random"] for row in claim), 2) == 0.68
    assert min(row["same_layers"] for row in claim) > 0.9


def test_the_note_of_the_previous_token_head(service: LiveService, prepared: PreparedPresets):
    induction = _first(service, "induction", 8)
    assert min(head.layer for head in induction) == 17
    lesson = _lesson_state("induction", 12, service)
    preset = prepared.open("secret-words", REAL_MODEL).revealed
    for state, share in ((lesson, 1 / 2), (preset, 1 / 3)):
        assert state.model and state.prompt and state.ablated and state.target
        assert state.ablated == frozenset(_first(service, "previous_token", 1))
        assert {head.layer for head in state.ablated} == {16}
        assert probability(service, state, state.ablated) < share * probability(service, state)
        loaded, prompt = service.store.get(REAL_MODEL), service.tokenize(REAL_MODEL, state.prompt)
        at = prompt.labels.index(f"·{state.target}")
        on, off = (capture(loaded, prompt.ids, heads) for heads in (frozenset(), state.ablated))
        before, after = ([float(run.attention[head][-1, at]) for head in induction[:4]] for run in (on, off))
        assert min(before) > 0.75
        assert max(after) < (0.5 if state is lesson else 0.75)


def test_which_heads_the_password_needs(service: LiveService):
    state = _lesson_state("which-heads-matter", 4, service)
    geometry = service.store.get(REAL_MODEL).geometry
    assert geometry.n_layers * geometry.n_heads == 270
    alone = _each_alone(service, state)
    assert round(alone.clean_probability, 2) == 0.6
    losing = _taking_half(alone)
    assert sorted(head.layer for head in losing) == [1, 1, 16, 26] and state.head in losing
    change = alone.change("probability")
    assert int((change.abs() < 0.05).sum()) > 270 / 2, "most heads change little"
    assert state.head is not None and state.head.layer == 16
    others = [head for head in range(9) if head != state.head.head]
    assert float(change[16, others].min()) > float(change[state.head]) / 3
    labels, attention = _attention(service, state)
    assert attention[-1, labels.index("·lemon", 6)] > 0.9
    seven, purple = labels.index("·seven"), labels.index("·purple")
    assert seven == purple + 1 and attention[seven, purple] > 0.9


def test_the_second_induction_head_stands_in_for_the_first(service: LiveService):
    state = _lesson_state("which-heads-matter", 7, service)
    first, second = _first(service, "induction", 2)
    labels, attention = _attention(service, state, second)
    assert attention[-1, labels.index("·horse")] > 0.95
    sets = (frozenset(), {second}, {first}, {first, second})
    left = [round(100 * probability(service, state, frozenset(off))) for off in sets]
    assert left == [45, 41, 31, 15]
    for head in _first(service, "induction", 4):
        labels, attention = _attention(service, state, head)
        assert attention[-1, labels.index("·horse")] > 0.7


def test_half_of_the_work_is_a_third_without_one_head(service: LiveService, prepared: PreparedPresets):
    state = prepared.open("word-row", REAL_MODEL).revealed
    assert state.head and state.ablated and len(state.ablated) == 8
    assert 0.6 < probability(service, state, frozenset({state.head})) / probability(service, state) < 0.75
    assert probability(service, state, state.ablated) < 0.01


def test_no_head_alone_is_needed_for_friday_or_the_year(service: LiveService, prepared: PreparedPresets):
    for key, least in (("weekdays", 0.8), ("filing-year", 0.75)):
        alone = _each_alone(service, prepared.open(key, REAL_MODEL).revealed)
        assert float(alone.probability.min()) > least
    state = prepared.open("filing-year", REAL_MODEL).revealed
    (first,) = _first(service, "induction", 1)
    labels, attention = _attention(service, state, first)
    assert labels[-1] == "9" and attention[-1, labels.index("8")] > 0.9
    assert probability(service, state, frozenset({first})) > 0.9
    weekdays = prepared.open("weekdays", REAL_MODEL).revealed
    assert weekdays.model and weekdays.prompt and probability(service, weekdays) > 0.95
    assert not any(
        head.is_active for head in service.analyze(REAL_MODEL, weekdays.prompt).listed["induction"]
    )


def test_three_heads_of_a_fact_and_of_a_number(service: LiveService, prepared: PreparedPresets):
    for key, layers, looked_at in (("capital", [0, 1, 23], "·France"), ("filing-employees", [1, 1, 23], "4")):
        state = prepared.open(key, REAL_MODEL).revealed
        losing = _taking_half(_each_alone(service, state))
        assert sorted(head.layer for head in losing) == layers
        (late,) = (head for head in losing if head.layer == 23)
        labels, attention = _attention(service, state, late)
        assert attention[-1, labels.index(looked_at)] > 0.9
        if key == "capital":
            assert not _is_listed(service, late)
        else:
            first = _listed(service, REAL_MODEL, "copying")[0]
            assert late == Head(first.layer, first.head)
    state = prepared.open("filing-employees", REAL_MODEL).revealed
    assert state.model and state.prompt
    beside = compare_with_random(
        service.store.get(REAL_MODEL),
        service.tokenize(REAL_MODEL, state.prompt).ids,
        _first(service, "induction", 8),
        target=token_of_text(service.store.get(REAL_MODEL), state.target),
        draws=100,
    )
    contrast = beside.contrasts["probability"]
    assert 0.4 < 1 + contrast.tested / beside.clean_probability < 0.6
    assert contrast.share_as_strong is not None and 0.05 <= contrast.share_as_strong < 0.5


def test_no_head_carries_mary_alone(service: LiveService, prepared: PreparedPresets):
    state = prepared.open("mary-and-john", REAL_MODEL).revealed
    alone = _each_alone(service, state)
    assert state.head is not None
    assert float(alone.probability.min()) > alone.clean_probability / 3
    assert int((alone.probability < alone.probability[state.head]).sum()) >= 3


def test_another_verb_and_another_with_hold_the_next_words(service: LiveService, prepared: PreparedPresets):
    labels, attention = _attention(service, prepared.open("back-to-a-verb", REAL_MODEL).revealed)
    saw, preposition = labels.index("·saw"), labels.index("·with")
    for source, at in [(saw + 1, saw), (saw + 2, saw), (preposition, saw)] + [
        (position, preposition) for position in range(preposition + 1, preposition + 4)
    ]:
        assert attention[source, at] > 0.5
