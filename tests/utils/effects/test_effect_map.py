"""The effect map's numbers are those of one ablation after the other."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.fixtures.forward_counter import counting_forwards
from tests.fixtures.makers.hand_built import INDUCTION, PREVIOUS, save_hand_built
from utils.effects import ablated_batches
from utils.effects.ablated_batches import MAX_ROWS, batches, rows_per_batch
from utils.effects.effect_map import WHAT, EffectMap, EffectMapProgress, effect_map
from utils.effects.measures import MEASURES, MeasureKey, rival_of, values
from utils.effects.prediction import compare
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.live.service import LiveService
from utils.models.families import head_geometry
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import tokenize_prompt
from utils.runtime.jobs import CancelledError

IDS = [0, 5, 17, 60, 5, 17, 99, 3, 5]
TEXT = "One day a girl named Lily went to the park with her dog. One day a girl named Lily went to the"


def all_heads(loaded: LoadedModel) -> list[Head]:
    geometry = loaded.geometry
    return [Head(layer, head) for layer in range(geometry.n_layers) for head in range(geometry.n_heads)]


def assert_equals_one_at_a_time(
    loaded: LoadedModel, ids: Sequence[int], found: EffectMap, heads: Sequence[Head], atol: float = 1e-5
) -> None:
    """Each of `heads` off in a whole forward of the live page's, measured as the prediction panel does."""
    clean = capture(loaded, ids).logits[found.position]
    for head in heads:
        off = capture(loaded, ids, {head}, found.mode).logits[found.position]
        panel = compare(clean, off, found.target)
        expected = {
            "probability": panel.watched.ablated,
            "log_probability": float(off.double().log_softmax(-1)[found.target]),
            "logit_difference": float(off[found.target] - off[found.other]),
            "kl": panel.kl,
        }
        for measure, value in expected.items():
            ours = float(getattr(found, measure)[head.layer, head.head])
            assert ours == pytest.approx(value, abs=atol, rel=0), (measure, head)


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_every_head_of_every_family(loaded: LoadedModel, mode: AblationMode) -> None:
    found = effect_map(loaded, IDS, target=17, other=60, mode=mode)
    assert found.kl.shape == (loaded.geometry.n_layers, loaded.geometry.n_heads)
    assert (found.target, found.other, found.position, found.mode) == (17, 60, len(IDS) - 1, mode)
    # The tiny models' logits are large: so is their rounding.
    assert_equals_one_at_a_time(loaded, IDS, found, all_heads(loaded), atol=2e-5)
    assert found.kl.max() > 0.01 and found.kl.min() >= 0


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_every_head_of_the_first_bundled_model(service: LiveService, mode: AblationMode) -> None:
    bundled = service.store.get("demo-gpt2")
    ids = tokenize_prompt(bundled, TEXT).ids
    found = effect_map(bundled, ids, mode=mode)
    assert_equals_one_at_a_time(bundled, ids, found, all_heads(bundled))
    assert found.kl.max() > 0.01


def test_a_model_of_the_shape_of_gpt2_small(tiny_gpt2: LoadedModel) -> None:
    """12 layers of 12 heads, 768 wide, 50257 tokens, 17 positions; a head of each layer one at a time."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        # The usual 0.02 makes a model in which no head does anything that could be seen.
        config = GPT2Config(initializer_range=0.06)
        config._attn_implementation = "eager"
        model = GPT2LMHeadModel(config).eval().requires_grad_(False)
        ids = torch.randint(0, config.vocab_size, (17,)).tolist()
    large = dataclasses.replace(
        tiny_gpt2, name="random", model=model, geometry=head_geometry(config), context_length=1024
    )
    found = effect_map(large, ids)
    assert found.kl.shape == (12, 12)
    assert_equals_one_at_a_time(large, ids, found, all_heads(large)[::13])
    assert found.change("logit_difference").abs().max() > 0.01


def test_another_position(loaded: LoadedModel) -> None:
    for position in (0, 4):
        found = effect_map(loaded, IDS, target=60, position=position)
        assert found.position == position
        assert_equals_one_at_a_time(loaded, IDS, found, all_heads(loaded)[:6], atol=2e-5)


def test_without_a_choice_it_watches_the_likeliest_token_and_its_rival(loaded: LoadedModel) -> None:
    clean = capture(loaded, IDS).logits[-1]
    first, second = clean.topk(2).indices.tolist()
    found = effect_map(loaded, IDS)
    assert (found.target, found.other) == (first, second)
    assert found.clean_probability == pytest.approx(float(clean.double().softmax(-1)[first]), abs=1e-6)
    assert found.clean_log_probability == pytest.approx(
        float(clean.double().log_softmax(-1)[first]), abs=1e-5
    )
    assert found.clean_logit_difference == pytest.approx(float(clean[first] - clean[second]), abs=2e-5)
    assert effect_map(loaded, IDS, target=second).other == first
    # The panel's rival is the same token.
    assert compare(clean, clean, second).rival == first


def test_changes_are_from_the_clean_values(tiny_gpt2: LoadedModel) -> None:
    found = effect_map(tiny_gpt2, IDS)
    assert torch.equal(found.change("probability"), found.probability - found.clean_probability)
    assert torch.equal(found.change("log_probability"), found.log_probability - found.clean_log_probability)
    difference = found.logit_difference - found.clean_logit_difference
    assert torch.equal(found.change("logit_difference"), difference)
    assert torch.equal(found.change("kl"), found.kl)
    for measure in MEASURES:
        sizes = [abs(float(found.change(measure)[head])) for head in found.strongest(measure, 12)]
        assert sizes == sorted(found.change(measure).abs().flatten().tolist(), reverse=True)


@pytest.fixture(scope="module")
def hand_built(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model("hand-built", save_hand_built(tmp_path_factory.mktemp("hand_built") / "hand-built"))


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_the_built_induction_head_dominates_on_a_repeated_prompt(
    hand_built: LoadedModel, mode: AblationMode
) -> None:
    ids = tokenize_prompt(hand_built, "jumbled foxy king. jumbled foxy ki").ids
    following = tokenize_prompt(hand_built, "n").ids[-1]
    found = effect_map(hand_built, ids, target=following, mode=mode)
    assert found.clean_probability > 0.99
    # It works by composition: without the head that it reads, it finds nothing either.
    built = {INDUCTION, PREVIOUS}
    for measure in MEASURES:
        assert set(found.strongest(measure, 2)) == built, measure
    for head in all_heads(hand_built):
        drop = -float(found.change("probability")[head])
        assert drop > 0.9 if head in built else abs(drop) < 1e-6, head


def test_progress_after_each_batch(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablated_batches, "MAX_ROWS", 3)
    message: list[tuple[str, int, int]] = []
    with counting_forwards() as count:
        effect_map(loaded, IDS, progress=lambda *step: message.append(step))
    total = len(all_heads(loaded))
    assert {(what, all_of_them) for what, _, all_of_them in message} == {(WHAT, total)}
    done = [step for _, step, _ in message]
    assert done == sorted(set(done)) and done[-1] == total
    assert count.passes == 1 + len(message)
    assert all(after - before <= 3 for before, after in zip([0, *done], done, strict=False))


def test_the_map_so_far_is_published_after_each_batch(
    tiny_llama: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = tiny_llama.geometry.n_heads
    monkeypatch.setattr(ablated_batches, "MAX_ROWS", heads)
    seen: list[EffectMapProgress] = []
    whole = effect_map(tiny_llama, IDS, publish=seen.append)
    layers = tiny_llama.geometry.n_layers
    assert [part.finished_layers for part in seen] == [tuple(range(done + 1)) for done in range(layers)]
    for done, part in enumerate(seen, start=1):
        assert int(part.measured.sum()) == done * heads
        for measure in MEASURES:
            values_so_far = getattr(part.effects, measure)
            assert torch.equal(values_so_far[:done], getattr(whole, measure)[:done])
            assert values_so_far[done:].isnan().all()
        # The heads that are still to come are no effects.
        assert {head.layer for head in part.effects.strongest("kl", 999)} == set(range(done))
    assert seen[0].effects.target == whole.target
    assert seen[0].effects.clean_probability == whole.clean_probability


def test_cancelling_ends_it_and_leaves_the_model_as_it_was(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablated_batches, "MAX_ROWS", 2)
    before = capture(loaded, IDS)

    def cancel(what: str, done: int, total: int) -> None:
        if done >= 4:
            raise CancelledError

    with counting_forwards() as count, pytest.raises(CancelledError):
        effect_map(loaded, IDS, progress=cancel)
    assert count.passes == 3
    after = capture(loaded, IDS)
    assert torch.equal(before.logits, after.logits) and torch.equal(before.attention, after.attention)


def test_a_few_forwards_do_for_all_heads(service: LiveService) -> None:
    bundled = service.store.get("demo-gpt2")
    ids = tokenize_prompt(bundled, TEXT).ids
    with counting_forwards() as count:
        effect_map(bundled, ids)
    # The clean one, and one a layer.
    assert count.passes == 1 + bundled.geometry.n_layers


@pytest.mark.parametrize(
    ("length", "vocabulary", "rows"),
    [(32, 50257, 32), (32, 10**6, 16), (64, 5000, 16), (256, 5000, 4), (2000, 5000, 1), (1, 320, MAX_ROWS)],
)
def test_rows_a_batch_are_bounded(length: int, vocabulary: int, rows: int) -> None:
    assert rows_per_batch(length, vocabulary) == rows


def test_even_a_row_over_the_bound_runs_alone() -> None:
    assert rows_per_batch(4096, 10_000_000) == 1
    assert rows_per_batch(1, 100_000_000) == 1


def test_batches_hold_every_set_once_and_begin_together() -> None:
    sets = [[Head(layer, head)] for layer in (3, 0, 2, 1) for head in range(12)]
    found = list(batches(sets, 16))
    assert sorted(index for batch in found for index in batch) == list(range(len(sets)))
    assert [{sets[index][0].layer for index in batch} for batch in found] == [{0}, {1}, {2}, {3}]
    # Batches that would be less than half full go on into the next layer.
    few = [[Head(layer, 0), Head(layer + 3, 1)] for layer in range(6)]
    assert [len(batch) for batch in batches(few, 4)] == [2, 2, 2]
    assert [len(batch) for batch in batches([[], *few], 100)] == [7]
    assert list(batches([], 4)) == []


def test_what_cannot_be_asked_is_refused(tiny_gpt2: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match="Token 320 is not in the vocabulary"):
        effect_map(tiny_gpt2, IDS, target=320)
    with pytest.raises(UserFacingError, match="Token -1 is not in the vocabulary"):
        effect_map(tiny_gpt2, IDS, other=-1)
    with pytest.raises(UserFacingError, match="no token 9 in the prompt"):
        effect_map(tiny_gpt2, IDS, position=9)
    with pytest.raises(UserFacingError, match="There are no tokens"):
        effect_map(tiny_gpt2, [])
    with pytest.raises(UserFacingError, match="not a way to ablate heads"):
        effect_map(tiny_gpt2, IDS, mode="half")  # pyright: ignore[reportArgumentType]


def test_measures_by_hand() -> None:
    clean = torch.tensor([0.5, 0.3, 0.2]).log() + 3
    off = torch.stack([torch.tensor([0.1, 0.3, 0.6]).log() - 1, clean])
    found = values(clean, off, target=0, other=1)
    assert found.probability.tolist() == pytest.approx([0.1, 0.5], abs=1e-6)
    assert found.log_probability.exp().tolist() == pytest.approx([0.1, 0.5], abs=1e-6)
    assert found.logit_difference.exp().tolist() == pytest.approx([1 / 3, 5 / 3], abs=1e-6)
    expected = float(torch.tensor([0.5, 0.3, 0.2]) @ (torch.tensor([5.0, 1.0, 1 / 3]).log()))
    assert found.kl.tolist() == pytest.approx([expected, 0], abs=1e-6)
    assert rival_of(clean, 0) == 1 and rival_of(clean, 1) == 0 and rival_of(clean, 2) == 0
    measures: list[MeasureKey] = list(MEASURES)
    assert [found[measure] is getattr(found, measure) for measure in measures] == [True] * 4


@pytest.mark.parametrize(
    ("logits", "target"), [(torch.zeros(2, 4), 0), (torch.zeros(3), 0), (torch.zeros(1, 3), 3)]
)
def test_measures_of_what_does_not_fit_are_refused(logits: torch.Tensor, target: int) -> None:
    with pytest.raises(ValueError, match="must"):
        values(torch.zeros(3), logits, target, 0)


def test_asking_twice_gives_the_same_to_the_last_bit(loaded: LoadedModel) -> None:
    first, again = effect_map(loaded, IDS, mode="mean"), effect_map(loaded, IDS, mode="mean")
    assert torch.equal(first.kl, again.kl) and torch.equal(first.logit_difference, again.logit_difference)
