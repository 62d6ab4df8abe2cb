"""A logit taken apart: the parts add up, split by source, and are what hooks by hand see; every family."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.fixtures.forward_counter import counting_forwards
from utils.errors import UserFacingError
from utils.forward.attention_capture import Capture, capture
from utils.forward.stream_capture import StreamParts, recorded_stream
from utils.heads import Head
from utils.models.families import output_projection
from utils.models.loading import LoadedModel
from utils.models.sources import REAL_MODEL
from utils.writing.attribution import (
    direct_effect,
    head_effects,
    head_vectors,
    own_token_effects,
)
from utils.writing.lens import logit_lens, streams_along
from utils.writing.promoted import promoted_tokens, vocabulary_effects
from utils.writing.sources import source_effects

IDS = (0, 5, 17, 60, 5, 17, 99, 3, 5)
POSITIONS = (0, 4, 8)
PAIRS: tuple[tuple[int, int | None], ...] = ((17, 60), (99, 5), (5, None))


def run(loaded: LoadedModel, ids: tuple[int, ...] = IDS) -> tuple[Capture, StreamParts]:
    found = capture(loaded, ids, stream=True)
    assert found.stream is not None
    return found, found.stream


@contextlib.contextmanager
def seen_by_hand(module: torch.nn.Module) -> Iterator[list[Any]]:
    found: list[Any] = []
    handle = module.register_forward_hook(lambda _, args, output: found.extend((args[0], output)))
    try:
        yield found
    finally:
        handle.remove()


def uncapped_logits(loaded: LoadedModel, ids: tuple[int, ...]) -> Tensor:
    """The model's own logits [position, vocab], before a cap where it has one."""
    output: Any = loaded.model.get_output_embeddings()
    with seen_by_hand(output) as found, torch.inference_mode():
        loaded.model(torch.tensor([ids]))
    return found[1][0]


def test_all_parts_add_up_to_the_models_own_logit(loaded: LoadedModel) -> None:
    _, parts = run(loaded)
    logits = uncapped_logits(loaded, IDS).double()
    for position in POSITIONS:
        for target, against in PAIRS:
            found = direct_effect(loaded, parts, position, target, against)
            own = float(logits[position, target] - (0 if against is None else logits[position, against]))
            # What adds up to a small number is known no better than its parts.
            size = max(abs(own), float(found.heads.abs().max()), float(found.mlps.abs().max()))
            assert found.total == pytest.approx(own, abs=1e-4 * max(size, 1))
            assert found.total == pytest.approx(own, rel=1e-4, abs=2e-5 * size)
            assert found.logit == pytest.approx(own, abs=1e-4 * max(size, 1))
            assert found.capped == (loaded.family.model_type == "gemma2")


def test_no_part_stands_in_for_another(loaded: LoadedModel) -> None:
    # Were the feed-forward blocks what is left over, any error about the heads would cancel out.
    _, parts = run(loaded)
    outputs = torch.stack(parts.head_outputs)
    outputs[:, :, 1] *= 1.5  # of one head a layer: a norm after the attention undoes what befalls all alike
    wrong = replace(parts, head_outputs=tuple(outputs))
    found = direct_effect(loaded, parts, 8, 17, 60)
    assert abs(direct_effect(loaded, wrong, 8, 17, 60).total - found.total) > 1e-2


def test_the_split_by_source_adds_up_to_the_head(loaded: LoadedModel) -> None:
    captured, parts = run(loaded)
    geometry = loaded.geometry
    for position in POSITIONS:
        found = direct_effect(loaded, parts, position, 17, 60)
        scale = float(found.heads.abs().max())
        for head in (Head(0, 0), Head(1, geometry.n_heads - 1), Head(geometry.n_layers - 1, 1)):
            attention = captured.attention[head.layer, head.head]
            sources = source_effects(loaded, parts, attention, head, position, 17, 60)
            assert sources.shape == (len(IDS),)
            assert bool((sources[position + 1 :] == 0).all())
            assert float(sources.sum()) == pytest.approx(float(found.heads[head]), abs=1e-5 * max(scale, 1))


def test_what_a_head_writes_is_what_hooks_by_hand_see(exact: LoadedModel) -> None:
    """In float64, where another order of sums changes nothing: each slice alone through the projection."""
    _, parts = run(exact)
    width, position = exact.geometry.head_dim, 6
    for layer in (0, exact.geometry.n_layers - 1):
        projection = output_projection(exact.model, exact.family, layer)
        path = exact.family.stream.attention_norm
        norm: Any = exact.model.get_submodule(path.format(layer=layer)) if path else None
        with contextlib.ExitStack() as hooks, torch.inference_mode():
            seen = hooks.enter_context(seen_by_hand(projection))
            normed = hooks.enter_context(seen_by_hand(norm)) if norm else []
            exact.model(torch.tensor([IDS]))
            outputs, written = seen[0][0, position], seen[1][0, position]
            nothing = projection(torch.zeros_like(outputs))
            vectors = head_vectors(exact, parts, layer, position)
            for head in range(exact.geometry.n_heads):
                alone = torch.zeros_like(outputs)
                part = slice(head * width, (head + 1) * width)
                alone[part] = outputs[part]
                by_hand = projection(alone) - nothing
                if norm:
                    by_hand = by_hand * (normed[1][0, position] / written)
                difference = (vectors[head] - by_hand.float()).abs().max()
                assert difference <= 1e-6 * max(1.0, float(by_hand.abs().max()))


def test_one_forward_and_no_more_and_nothing_stays(loaded: LoadedModel) -> None:
    plain = capture(loaded, IDS)
    with counting_forwards() as count:
        found, parts = run(loaded)
        direct_effect(loaded, parts, 8, 17, 60)
        promoted_tokens(loaded, parts, Head(1, 1), 8)
        logit_lens(loaded, parts, 8, 17)
        source_effects(loaded, parts, found.attention[1, 1], Head(1, 1), 8, 17)
    assert count.passes == 1
    assert torch.equal(found.logits, plain.logits) and torch.equal(found.attention, plain.attention)
    after = capture(loaded, IDS)
    assert torch.equal(after.logits, plain.logits)
    assert not loaded.model.get_submodule(loaded.family.stream.final_norm)._forward_pre_hooks


def test_of_an_ablated_head_it_is_what_stands_in_its_place(loaded: LoadedModel) -> None:
    off = Head(1, 2)
    found = capture(loaded, IDS, [off], stream=True)
    assert found.stream is not None
    effect = direct_effect(loaded, found.stream, 8, 17, 60)
    assert effect.heads[off] == 0 and float(effect.heads[1].abs().max()) > 0
    assert effect.total == pytest.approx(effect.logit, rel=1e-3, abs=1e-3)


def test_promoted_tokens_are_the_ends_of_all_effects(loaded: LoadedModel) -> None:
    _, parts = run(loaded)
    head = Head(loaded.geometry.n_layers - 1, 3)
    effects = vocabulary_effects(loaded, parts, head, 8)
    assert float(effects.mean()) == pytest.approx(0, abs=1e-4)
    found = promoted_tokens(loaded, parts, head, 8, count=3)
    order = effects.argsort(descending=True).tolist()
    assert [one.token for one in found.promoted] == order[:3]
    assert [one.token for one in found.suppressed] == order[::-1][:3]
    some = [order[0], order[-1], 17, 60]
    torch.testing.assert_close(
        head_effects(loaded, parts, head, 8, some), effects[some], rtol=1e-4, atol=1e-4
    )
    pair = float(direct_effect(loaded, parts, 8, 17, 60).heads[head])
    assert float(effects[17] - effects[60]) == pytest.approx(pair, rel=1e-4, abs=1e-4)
    layers = slice(head.layer, head.layer + 1)
    table = own_token_effects(loaded, parts, IDS, layers)[0]
    torch.testing.assert_close(own_token_effects(loaded, parts, IDS)[layers][0], table)
    assert table.shape == (loaded.geometry.n_heads, len(IDS), len(IDS))
    torch.testing.assert_close(table[head.head, 8, 2], effects[17], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(table[..., 2], table[..., 5])  # the same token


def test_the_lens_ends_with_the_prediction(loaded: LoadedModel) -> None:
    _, parts = run(loaded)
    logits = uncapped_logits(loaded, IDS)
    streams = streams_along(loaded, parts, 8)
    torch.testing.assert_close(streams[0], parts.embeddings[8])
    torch.testing.assert_close(streams[-1], parts.final[8], rtol=1e-4, atol=1e-3)
    target = int(logits[8].argmax())
    found = logit_lens(loaded, parts, 8, target, 60)
    assert [layer.depth for layer in found.layers] == list(range(loaded.geometry.n_layers + 1))
    last = found.layers[-1]
    assert last.favourite == target and last.rank == 1
    assert last.probability == pytest.approx(float(logits[8].softmax(-1)[target]), rel=1e-3)
    assert last.logit == pytest.approx(float(logits[8, target] - logits[8, 60]), rel=1e-3, abs=1e-3)
    favourites = [layer.favourite == target for layer in found.layers]
    assert found.first_favourite == favourites.index(True)
    assert found.settled is not None and all(favourites[found.settled :])
    assert found.settled == 0 or not favourites[found.settled - 1]


def test_what_is_not_there_is_refused(tiny_gpt2: LoadedModel) -> None:
    _, parts = run(tiny_gpt2)
    with pytest.raises(UserFacingError, match="no token 9 in the prompt"):
        direct_effect(tiny_gpt2, parts, 9, 1)
    with pytest.raises(UserFacingError, match="not in the vocabulary"):
        direct_effect(tiny_gpt2, parts, 8, 1, 1_000_000)


def test_a_stream_that_is_no_sum_is_refused(tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = tiny_model("opt")
    monkeypatch.setattr(loaded.model.config, "do_layer_norm_before", False)
    with pytest.raises(UserFacingError, match="cannot be told apart"), recorded_stream(loaded):
        pass


def test_the_real_models_parts_add_up(service: Any) -> None:
    loaded = service.store.get(REAL_MODEL)
    ids = service.tokenize(REAL_MODEL, "When Mary and John went to the store, John gave a drink to").ids
    captured, parts = run(loaded, ids)
    last = len(ids) - 1
    target, other = captured.logits[last].topk(2).indices.tolist()
    found = direct_effect(loaded, parts, last, target, other)
    own = float(captured.logits[last, target] - captured.logits[last, other])
    assert found.total == pytest.approx(own, rel=1e-4)
    for head in found.strongest(3):
        attention = captured.attention[head.layer, head.head]
        sources = source_effects(loaded, parts, attention, head, last, target, other)
        assert float(sources.sum()) == pytest.approx(float(found.heads[head]), rel=1e-4, abs=1e-5)
