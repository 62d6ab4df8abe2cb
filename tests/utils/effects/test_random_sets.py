"""Random sets of heads: drawn as they should be, and their effects those of ablation."""

import itertools
from collections import Counter

import pytest
import torch

from tests.fixtures.forward_counter import counting_forwards
from tests.fixtures.makers.hand_built import INDUCTION, PREVIOUS, save_hand_built
from utils.effects import ablated_batches
from utils.effects.effect_map import effect_map
from utils.effects.measures import MEASURES
from utils.effects.prediction import compare
from utils.effects.random_sets import KINDS, MIN_DISTINCT, SetKind, compare_with_random, contrast, draw_sets
from utils.errors import UserFacingError
from utils.forward.ablation import ABLATION_MODES, AblationMode
from utils.forward.attention_capture import capture
from utils.heads import Head
from utils.models.families import HeadGeometry
from utils.models.loading import LoadedModel, load_model
from utils.models.prompts import tokenize_prompt
from utils.runtime.jobs import CancelledError

GEOMETRY = HeadGeometry(n_layers=4, n_heads=6, n_kv_heads=6, head_dim=8, windows=(None,) * 4)
TESTED = [Head(1, 2), Head(1, 5), Head(3, 0)]
IDS = [0, 5, 17, 60, 5, 17, 99, 3, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_sets_have_the_size_and_leave_the_tested_heads_out(kind: SetKind) -> None:
    drawn = draw_sets(GEOMETRY, [*TESTED, TESTED[0]], kind, draws=100, seed=1)
    assert len(drawn.sets) == 100 and drawn.moved == 0
    for heads in drawn.sets:
        assert len(set(heads)) == 3 and not set(heads) & set(TESTED)
        assert list(heads) == sorted(heads)
        assert all(0 <= layer < 4 and 0 <= head < 6 for layer, head in heads)


def test_layer_matched_sets_have_as_many_heads_of_each_layer() -> None:
    for heads in draw_sets(GEOMETRY, TESTED, "layer-matched", draws=100).sets:
        assert Counter(head.layer for head in heads) == {1: 2, 3: 1}


@pytest.mark.parametrize("kind", KINDS)
def test_every_head_that_may_be_drawn_is_drawn_equally_often(kind: SetKind) -> None:
    drawn = Counter(
        head
        for seed in range(60)
        for heads in draw_sets(GEOMETRY, TESTED, kind, 100, seed).sets
        for head in heads
    )
    others = {Head(*pair) for pair in itertools.product(range(4), range(6))} - set(TESTED)
    if kind == "uniform":
        expected = {head: 6000 * 3 / 21 for head in others}
    else:
        expected = {head: 6000 * {1: 2 / 4, 3: 1 / 5}[head.layer] for head in others if head.layer in (1, 3)}
    assert set(drawn) == set(expected)
    # More than six standard deviations of a binomial count.
    assert all(abs(drawn[head] - count) < 6.5 * count**0.5 for head, count in expected.items())


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_its_sets_whatever_the_order_of_the_heads(kind: SetKind) -> None:
    first = draw_sets(GEOMETRY, TESTED, kind, seed=5)
    assert draw_sets(GEOMETRY, TESTED[::-1], kind, seed=5) == first
    assert draw_sets(GEOMETRY, TESTED, kind, seed=6) != first
    # More draws begin with the same ones.
    assert draw_sets(GEOMETRY, TESTED, kind, draws=40, seed=5).sets[:20] == first.sets


def test_where_a_layer_has_too_few_heads_left_the_nearest_one_helps_out() -> None:
    tested = [Head(1, head) for head in range(5)] + [Head(2, 0)]
    drawn = draw_sets(GEOMETRY, tested, "layer-matched", draws=50)
    assert drawn.moved == 4
    layers = [Counter(head.layer for head in heads) for heads in drawn.sets]
    for heads, count in zip(drawn.sets, layers, strict=True):
        assert len(set(heads)) == 6 and not set(heads) & set(tested)
        # The one head left of layer 1, one of layer 2, and four from layers 0 and 2, which lie next to it.
        assert count[1] == 1 and Head(1, 5) in heads and count[2] >= 1 and count[0] + count[2] == 5
    assert len({count[0] for count in layers}) > 1
    assert "4 heads of each random set come from the nearest layer" in drawn.caveat


def test_heads_come_from_farther_away_when_the_nearest_layer_is_used_up() -> None:
    tested = [Head(0, head) for head in range(6)] + [Head(1, head) for head in range(6)]
    drawn = draw_sets(GEOMETRY, tested, "layer-matched", draws=5)
    assert drawn.moved == 12
    assert all(set(heads) == {Head(*p) for p in itertools.product((2, 3), range(6))} for heads in drawn.sets)
    assert "5 draws gave only one set" in drawn.caveat
    assert draw_sets(GEOMETRY, TESTED, "uniform").caveat == ""


def test_what_cannot_be_drawn_is_refused() -> None:
    half = [Head(layer, head) for layer in range(2) for head in range(6)]
    assert len(draw_sets(GEOMETRY, half, "uniform").sets[0]) == 12
    with pytest.raises(UserFacingError, match=r"13 of 24 heads are off.*at most 12"):
        draw_sets(GEOMETRY, [*half, Head(2, 0)], "uniform")
    with pytest.raises(UserFacingError, match="Ablate at least one"):
        draw_sets(GEOMETRY, [], "uniform")
    for draws in (0, 101, -1):
        with pytest.raises(UserFacingError, match="from 1 to 100"):
            draw_sets(GEOMETRY, TESTED, "uniform", draws)
    with pytest.raises(UserFacingError, match="uniform, layer-matched"):
        draw_sets(GEOMETRY, TESTED, "any")  # pyright: ignore[reportArgumentType]


def test_mean_interval_and_share_by_hand() -> None:
    draws = [-0.1, -0.5, 0.9, -0.6, 0.0] * 4 + [0.3]
    found = contrast("probability", -0.5, draws)
    assert found.mean == pytest.approx(-0.9 / 21) and found.median == -0.1
    # Between neighbours: the position 0.025 * 20 lies half way between the first two, which are equal.
    assert found.low == pytest.approx(-0.6) and found.high == pytest.approx(0.9)
    # Only what goes the same way counts, and as much counts as at least as much.
    assert found.share_as_strong == pytest.approx(8 / 21) and (found.as_strong, found.distinct) == (8, 21)
    assert (found.least, found.most) == (-0.6, 0.9)
    assert found.draws == tuple(draws) and found.tested == -0.5
    kl = [0.1, 0.3, 0.31, 2.0] * 5
    assert contrast("kl", 0.3, kl).share_as_strong == pytest.approx(3 / 4)
    assert contrast("kl", 0.0, kl).share_as_strong == 1


def test_few_different_sets_give_neither_interval_nor_share() -> None:
    draws = [-0.1, -0.5, -0.1, -0.7]
    found = contrast("probability", -0.5, draws, ["a", "b", "a", "c"])
    assert (found.low, found.high, found.share_as_strong) == (None, None, None)
    assert (found.distinct, found.as_strong, found.least, found.most) == (3, 2, -0.7, -0.1)
    # A set that is drawn often is still one.
    many = contrast("kl", 0.5, [0.1, 0.6] * 50, ["a", "b"] * 50)
    assert (many.low, many.share_as_strong, many.distinct, many.as_strong) == (None, None, 2, 1)
    just_enough = contrast("kl", 0.5, [0.1] * MIN_DISTINCT)
    assert just_enough.low == pytest.approx(0.1) and just_enough.share_as_strong == 0
    assert contrast("kl", 0.5, [0.1] * (MIN_DISTINCT - 1)).low is None


@pytest.mark.parametrize("mode", ABLATION_MODES)
def test_effects_are_those_of_each_set_off_alone(loaded: LoadedModel, mode: AblationMode) -> None:
    heads = [Head(1, 2), Head(2, 0)]
    found = compare_with_random(loaded, IDS, heads, target=17, other=60, mode=mode, draws=6, seed=3)
    assert found.random == draw_sets(loaded.geometry, heads, "layer-matched", 6, 3)
    assert found.heads == tuple(heads) and (found.target, found.other) == (17, 60)
    clean = capture(loaded, IDS).logits[-1]
    for position, off in enumerate([heads, *found.random.sets]):
        logits = capture(loaded, IDS, off, mode).logits[-1]
        panel = compare(clean, logits, 17)
        expected = {
            "probability": panel.watched.ablated - panel.watched.clean,
            "log_probability": float(
                logits.double().log_softmax(-1)[17] - clean.double().log_softmax(-1)[17]
            ),
            "logit_difference": float((logits[17] - logits[60]) - (clean[17] - clean[60])),
            "kl": panel.kl,
        }
        for measure in MEASURES:
            one = found.contrasts[measure]
            ours = one.tested if position == 0 else one.draws[position - 1]
            assert ours == pytest.approx(expected[measure], abs=3e-5, rel=0), (measure, off)
    for measure in MEASURES:
        one = found.contrasts[measure]
        assert one == contrast(measure, one.tested, one.draws, found.random.sets)


def test_it_agrees_with_the_effect_map(tiny_gpt2: LoadedModel) -> None:
    map_of_all = effect_map(tiny_gpt2, IDS, position=5)
    found = compare_with_random(tiny_gpt2, IDS, [Head(1, 3)], position=5, kind="uniform")
    assert (found.target, found.other, found.position) == (map_of_all.target, map_of_all.other, 5)
    assert found.clean_probability == pytest.approx(map_of_all.clean_probability, abs=1e-6)
    for measure in MEASURES:
        one = found.contrasts[measure]
        for (head,), effect in zip(
            [(Head(1, 3),), *found.random.sets], [one.tested, *one.draws], strict=True
        ):
            assert effect == pytest.approx(float(map_of_all.change(measure)[head]), abs=2e-5, rel=0)


def test_the_built_induction_circuit_stands_out(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = save_hand_built(tmp_path_factory.mktemp("hand_built") / "hand-built")
    built = load_model("hand-built", folder)
    ids = tokenize_prompt(built, "jumbled foxy king. jumbled foxy ki").ids
    target = tokenize_prompt(built, "n").ids[-1]
    for kind in KINDS:
        found = compare_with_random(built, ids, [INDUCTION, PREVIOUS], target=target, kind=kind, draws=30)
        one = found.contrasts["probability"]
        assert one.tested < -0.9 and one.as_strong == 0
        # None of the others is in the circuit.
        assert abs(one.mean) < 1e-6 and one.most - one.least < 1e-6
    # Layers of two heads: there is one other in each, however often it is drawn.
    assert "30 draws gave only one set" in found.random.caveat


def test_a_set_that_comes_up_again_is_run_once(tiny_gpt2: LoadedModel) -> None:
    message: list[tuple[str, int, int]] = []
    found = compare_with_random(
        tiny_gpt2, IDS, [Head(1, 3)], draws=50, progress=lambda *step: message.append(step)
    )
    assert len(set(found.random.sets)) == 3 and len(found.contrasts["kl"].draws) == 50
    assert message[-1][1:] == (4, 4)


def test_it_runs_in_batches_and_can_be_cancelled(
    tiny_gpt2: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counting_forwards() as count:
        compare_with_random(tiny_gpt2, IDS, TESTED[:1], kind="uniform", draws=11)
    assert count.passes <= 3
    monkeypatch.setattr(ablated_batches, "MAX_ROWS", 2)

    def cancel(what: str, done: int, total: int) -> None:
        raise CancelledError

    before = capture(tiny_gpt2, IDS).logits
    with counting_forwards() as count, pytest.raises(CancelledError):
        compare_with_random(tiny_gpt2, IDS, TESTED[:1], kind="uniform", progress=cancel)
    assert count.passes == 2
    assert torch.equal(capture(tiny_gpt2, IDS).logits, before)


def test_a_head_that_the_model_does_not_have_is_refused(tiny_gpt2: LoadedModel) -> None:
    with pytest.raises(UserFacingError, match="L9H0 is not a head of"):
        compare_with_random(tiny_gpt2, IDS, [Head(9, 0)])
